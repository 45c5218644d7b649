"""Good answers whose fields say what a sandbox has no right to say. Data only."""

import gzip

from gateway.store.call_settings import CallSettings, Cors
from tests.hostile.raw_answer_rows import HEAD, RFC9110, AnswerRow, answer, chunks, good
from tests.hostile.raw_rows import BOMB, head

PROMISE = "docs/browser-safety.md"
CALL_PATH = "docs/call-path.md"


def _dropped(name: str, source: str, *lines: bytes) -> AnswerRow:
    """The answer passes without these."""
    return good(name, source, answer(*lines))


def _passed(name: str, source: str, *lines: bytes, has: tuple[bytes, ...]) -> AnswerRow:
    return good(name, source, answer(*lines), has=has, lacks=())


# --- of this hop

HOP = [
    *(
        _dropped(f"hop: {line.partition(b':')[0].decode()}", f"{RFC9110} 7.6.1", line)
        for line in (
            b"Keep-Alive: timeout=5, evil",
            b"Proxy-Connection: evil",
            b"Proxy-Authenticate: Basic realm=evil",
            b"Proxy-Authentication-Info: evil",
            b"Proxy_Authenticate: evil",
            b"Proxy-Status: evil",
            b"TE: evil",
            b"Trailer: evil",
            b"Upgrade: evil",
        )
    ),
    _dropped("hop: named in Connection", f"{RFC9110} 7.6.1", b"Connection: X-Hop", b"X-Hop: evil"),
    _dropped("hop: named in the second of two", f"{RFC9110} 7.6.1",
             b"Connection: X-A", b"Connection: ,, x-HOP ,", b"X-Hop: evil"),
    _dropped("hop: named before it is there", f"{RFC9110} 7.6.1",
             b"X-Hop: evil", b"Connection: x-hop, keep-alive"),
    _passed("hop: Connection names the gateway's own", "CVE-2022-1388",
            b"Connection: date, x-request-id, x-ratelimit-limit, server-timing", b"X-A: 1",
            has=(b"x-a: 1",)),
    good("hop: Connection names thousands", "resource bound",
         answer(b"Connection: " + b"a," * 30_000, b"X-A: 1"), has=(b"x-a: 1",)),
    good("hop: 407 is an app's answer", f"{RFC9110} 15.5.8",
         answer(b"Proxy-Authenticate: Basic realm=evil", first=b"HTTP/1.1 407 x"), status=407),
    good("hop: 426 and an upgrade", f"{RFC9110} 15.5.22",
         answer(b"Connection: upgrade", b"Upgrade: evil", first=b"HTTP/1.1 426 x"), status=426,
         lacks=(b"evil", b"\r\nconnection:")),
]  # fmt: skip

# --- of the gateway

FORGED = [
    *(
        _dropped(f"forged: {line.partition(b':')[0].decode()}", CALL_PATH, line)
        for line in (
            b"X-Request-ID: evil",
            b"x-request-id: evil\r\nX-REQUEST-ID: evil",
            b"X-Process-Time: evil",
            b"X-RateLimit-Limit: evil",
            b"X-RateLimit-Remaining: evil",
            b"X-RateLimit-Reset: evil",
            b"X_RateLimit_Limit: evil",
            b"RateLimit: evil",
            b"RateLimit-Policy: evil",
            b"X-Sandgate-Generation: evil",
            b"X-Sandgate-Limits: evil",
            b"X-Sandgate-Context: evil",
            b"X_Sandgate_Node: evil",
            b"Date: evil",
        )
    ),
    _dropped("forged: Server-Timing", CALL_PATH, b"Server-Timing: admit;dur=0, evil"),
    _dropped("forged: X_Request_ID", CALL_PATH, b"X_Request_ID: evil"),
    _passed("forged: Server and Via are the app's to tell", f"{RFC9110} 10.2.4, 7.6.3",
            b"Server: app", b"Via: 1.1 app", has=(b"server: app", b"via: 1.1 app")),
    good("forged: a refusal with Retry-After is the app's to give", f"{RFC9110} 10.2.3",
         answer(b"Retry-After: 7", first=b"HTTP/1.1 429 x"), status=429, has=(b"retry-after: 7",)),
    good("forged: a sign-in of its own", f"{RFC9110} 11.6.1",
         answer(b"WWW-Authenticate: Basic realm=app", first=b"HTTP/1.1 401 x"), status=401,
         has=(b"www-authenticate: Basic realm=app",)),
]  # fmt: skip

# --- orders to browsers and servers in front

ORDERS = [
    *(
        _dropped(f"order: {line.partition(b':')[0].decode()}", PROMISE, line)
        for line in (
            b'Clear-Site-Data: "evil"',
            b"Strict-Transport-Security: max-age=1; evil",
            b'Alt-Svc: h3="evil:443"',
            b"Service-Worker-Allowed: /evil",
            b'NEL: {"report_to":"evil"}',
            b'Report-To: {"group":"evil"}',
            b'Reporting-Endpoints: e="https://evil"',
            b"Public-Key-Pins: evil",
            b"X-Accel-Redirect: /evil",
            b"X-Accel-Buffering: evil",
            b"X-Accel-Expires: evil",
            b"X_Accel_Redirect: /evil",
            b"X-Sendfile: /evil",
            b"X-LIGHTTPD-send-file: /evil",
        )
    ),
    *(
        _dropped(f"order: {line.partition(b':')[0].decode()}", PROMISE, line)
        for line in (
            b"Public-Key-Pins-Report-Only: evil",
            b"Expect-CT: max-age=1, evil",
            b"Accept-CH: evil",
            b"Set-Login: logged-in; evil",
            b'Use-As-Dictionary: match="/*", id="evil"',
            b'Secure-Session-Registration: (ES256);path="evil"',
            b"Origin-Agent-Cluster: ?1;evil",
        )
    ),
    *(
        _dropped(f"order: {line.partition(b':')[0].decode()}", PROMISE, line)
        for line in (
            b"X-Sendfile-Temporary: /evil",
            b"X-Sendfile2: /evil",
            b"X-LiteSpeed-Location: /evil",
            b"X-Reproxy-URL: http://evil",
        )
    ),
]

# --- addresses

_MOVED = b"HTTP/1.1 307 x"
_LOCATIONS = [
    ("an absolute path", b"/admin", b"%API%/admin"),
    ("the gateway's own API", b"/api/admin/reload", b"%API%/api/admin/reload"),
    ("below the root already", b"%API%/next", b"%API%/next"),
    ("dot segments", b"/../../admin", b"%API%/admin"),
    ("encoded dot segments", b"/%2e%2E/admin", b"%API%/admin"),
    ("dot segments behind the root", b"%API%/../admin", b"%API%/admin"),
    ("a tab that browsers overlook", b"/\t/x/admin", b"//x%API%/admin"),
    ("a backslash", b"\\admin", b"%API%/admin"),
    ("backslashes and our host", b"\\\\x\\admin", b"//x%API%/admin"),
    ("a whole address of ours", b"http://x/admin", b"http://x%API%/admin"),
    ("a whole address of ours with a port", b"HTTP://X:80/admin", b"HTTP://X:80%API%/admin"),
    ("another host", b"//elsewhere/admin", b"//elsewhere/admin"),
    ("another host in backslashes", b"/\\elsewhere", b"/\\elsewhere"),
    ("our host as a user", b"http://x@elsewhere/", b"http://x@elsewhere/"),
    ("an internal address", b"http://169.254.169.254/", b"http://169.254.169.254/"),
    ("a socket of the machine", b"http://unix:/run/docker.sock", b"http://unix:/run/docker.sock"),
    ("a relative one", b"next?a", b"next?a"),
    ("a scheme of script", b"javascript:alert(1)", b"javascript:alert(1)"),
]
_REFRESHES = [
    ("an absolute path", b"0; url=/admin", b"0; url=%API%/admin"),
    ("quoted, in capitals", b"0;URL='/admin'", b"0;URL='%API%/admin'"),
    ("another host", b"0; url=//elsewhere", b"0; url=//elsewhere"),
    ("no address", b"5", b"5"),
]


def _placed(name: str, line: bytes, sent: bytes, seen: bytes) -> AnswerRow:
    """The API is an address of the row: it stands for the API's own."""
    raw = answer(line + b": " + sent, first=_MOVED)
    return good(name, PROMISE, raw, status=307, has=(line.lower() + b": " + seen,), lacks=())


ADDRESSES = [
    *(_placed(f"address: {name}", b"Location", sent, seen) for name, sent, seen in _LOCATIONS),
    *(_placed(f"refresh: {name}", b"Refresh", sent, seen) for name, sent, seen in _REFRESHES),
    _placed("address: of the content", b"Content-Location", b"/admin", b"%API%/admin"),
    good("address: two of them", PROMISE,
         answer(b"Location: /a", b"Location: //x/b", first=_MOVED), status=307,
         has=(b"location: %API%/a", b"location: //x%API%/b")),
    good("address: of an answer to HEAD", PROMISE,
         answer(b"Location: /a", first=_MOVED, body=b""), status=307, asked=HEAD, body=b"",
         has=(b"location: %API%/a",)),
]  # fmt: skip

# --- cookies

_COOKIES = [
    ("without a path", b"a=1", b"a=1; Path=%API%"),
    ("of the whole host", b"a=1; Path=/", b"a=1; Path=%API%"),
    ("of another API", b"a=1; Path=/other", b"a=1; Path=%API%/other"),
    ("of the control plane", b"a=1; Path=/api", b"a=1; Path=%API%/api"),
    ("with two paths", b"a=1; Path=/x; pAtH=/", b"a=1; Path=%API%"),
    ("of a domain", b"a=1; Domain=x; Secure", b"a=1; Secure; Path=%API%"),
    ("of a parent domain, in capitals", b"a=1; DOMAIN=.test", b"a=1; Path=%API%"),
    ("of a path too long for browsers", b"a=1; Path=/" + b"p" * 1100, b"a=1; Path=%API%"),
]
_COOKIES_DROPPED = [
    ("__Host-", b"__Host-a=evil; Secure; Path=/"),
    ("__host- in lower case", b"__host-a=evil; Secure; Path=/"),
    ("__Host-Http-", b"__Host-Http-a=evil; Secure; HttpOnly; Path=/"),
    ("the gateway's own", b"sandgate_session=evil"),
    ("the gateway's own in capitals", b"SANDGATE_session=evil"),
    ("the gateway's own with a prefix", b"__Secure-sandgate_session=evil"),
    ("the gateway's own in quotes", b'"sandgate_session"=evil'),
    ("the gateway's own behind a tab", b"\tsandgate_session=evil"),
    ("nameless", b"=sandgate_session=evil"),
    ("without an equals sign", b"sandgate_session"),
    ("nothing", b""),
]
COOKIES = [
    *(
        good(f"cookie: {name}", PROMISE, answer(b"Set-Cookie: " + sent),
             has=(b"set-cookie: " + seen,), lacks=(b"domain=",))
        for name, sent, seen in _COOKIES
    ),
    *(
        good(f"cookie: {name}", PROMISE, answer(b"Set-Cookie: " + sent), lacks=(b"set-cookie",))
        for name, sent in _COOKIES_DROPPED
    ),
    good("cookie: several of one name, in order", "RFC 6265 5.3",
         answer(b"Set-Cookie: a=1", b"X-A: 1", b"Set-Cookie: a=2"),
         has=(b"set-cookie: a=1; Path=%API%", b"set-cookie: a=2; Path=%API%")),
    good("cookie: among refused ones the good stays", PROMISE,
         answer(b"Set-Cookie: __Host-a=evil", b"Set-Cookie: b=1", b"Set-Cookie: sandgate_a=evil"),
         has=(b"set-cookie: b=1; Path=%API%",)),
    good("cookie: on an origin of its own it keeps its path", PROMISE,
         answer(b"Set-Cookie: a=1; Path=/x; Domain=apis.test", b"Location: /next"),
         asked=head(host=b"Host: %SLUG%.apis.test", target=b"/x"),
         has=(b"set-cookie: a=1; Path=/x", b"location: /next"), lacks=(b"domain=",)),
]  # fmt: skip

# --- cross-origin

_CORS = CallSettings(cors=Cors(("https://app.test",)))
_FORGED_CORS = (
    b"Access-Control-Allow-Origin: https://evil",
    b"Access-Control-Allow-Credentials: true",
    b"Access-Control-Expose-Headers: evil",
)
CROSS = [
    good("cors: forged, the API has settings", "docs/call-settings.md", answer(*_FORGED_CORS),
         asked=head(b"Origin: https://app.test"), settings=_CORS,
         has=(b"access-control-allow-origin: https://app.test",),
         lacks=(b"evil", b"allow-credentials")),
    good("cors: forged for a stranger, the API has settings", "docs/call-settings.md",
         answer(*_FORGED_CORS), asked=head(b"Origin: https://evil"), settings=_CORS,
         lacks=(b"evil", b"access-control-")),
    good("cors: forged in chunks, the API has settings", "docs/call-settings.md",
         chunks(b"2\r\nok\r\n0\r\n\r\n", *_FORGED_CORS), settings=_CORS,
         lacks=(b"evil", b"access-control-")),
    _passed("cors: without settings they are the app's", "docs/call-settings.md",
            b"Access-Control-Allow-Origin: *", has=(b"access-control-allow-origin: *",)),
]  # fmt: skip

# --- bodies that are not opened

_ZIPPED = b"Content-Encoding: gzip"
UNOPENED = [
    good("unopened: a gzip bomb of 10 MB", "CWE-409", answer(_ZIPPED, body=BOMB), body=BOMB,
         has=(b"content-encoding: gzip", b"content-length: %d" % len(BOMB))),
    good("unopened: a gzip bomb in chunks", "CWE-409",
         chunks(b"%x\r\n%b\r\n0\r\n\r\n" % (len(BOMB), BOMB), _ZIPPED), body=BOMB,
         has=(b"content-encoding: gzip",)),
    good("unopened: a gzip bomb in a gzip bomb", "CWE-409",
         answer(b"Content-Encoding: gzip, gzip", body=gzip.compress(BOMB, mtime=0)),
         body=gzip.compress(BOMB, mtime=0), has=(b"content-encoding: gzip, gzip",)),
    good("unopened: what only says that it is gzip", "CWE-409", answer(_ZIPPED),
         has=(b"content-encoding: gzip",)),
    good("unopened: a coding nobody knows", f"{RFC9110} 8.4", answer(b"Content-Encoding: evil"),
         has=(b"content-encoding: evil",), lacks=()),
    good("unopened: a length of an answer to HEAD", "CWE-409",
         answer(_ZIPPED, b"Content-Length: 999999999", body=b"", length=False), asked=HEAD,
         body=b"", has=(b"content-length: 999999999",)),
]  # fmt: skip
