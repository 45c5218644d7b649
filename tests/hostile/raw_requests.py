"""Requests as no client of good will sends them, and what becomes of each. Data only.

`%API%` stands for the address of an API, `%KEY%` for a key of it; behind it is a sandbox that
answers every call with the bytes that reached it. The rules are those at the top of
`gateway/server/request.py` and `gateway/server/chunks.py`, and of `docs/call-path.md`.
"""

from tests.hostile.raw_fields import FIELDS
from tests.hostile.raw_framing import CHUNKS, FRAMING
from tests.hostile.raw_rows import CHUNKED, JSON5, RFC9110, RFC9112, SMUGGLED, Row, head, post, row

# --- request lines

_LINES_BAD = [
    ("two spaces before the target", b"GET  %API%/x HTTP/1.1", 400),
    ("two spaces before the version", b"GET %API%/x  HTTP/1.1", 400),
    ("an address with our host as its user", b"GET http://x@internal%API%/x HTTP/1.1", 400),
    ("a tab instead of a space", b"GET\t%API%/x HTTP/1.1", 400),
    ("a space before the method", b" GET %API%/x HTTP/1.1", 400),
    ("a space behind the version", b"GET %API%/x HTTP/1.1 ", 400),
    ("a vertical tab", b"GET %API%/x\x0bHTTP/1.1", 400),
    ("a NUL in the target", b"GET %API%/\x00 HTTP/1.1", 400),
    ("a space in the target", b"GET %API%/a b HTTP/1.1", 400),
    ("a bare CR in the target", b"GET %API%/a\rb HTTP/1.1", 400),
    ("a bare LF in the target", b"GET %API%/a\nb HTTP/1.1", 400),
    ("a fragment", b"GET %API%/a#b HTTP/1.1", 400),
    ("a high byte in the target", b"GET %API%/\xe9 HTTP/1.1", 400),
    ("no target", b"GET HTTP/1.1", 400),
    ("an empty target", b"GET  HTTP/1.1", 400),
    ("no version (HTTP/0.9)", b"GET %API%/x", 400),
    ("version 1.2", b"GET %API%/x HTTP/1.2", 505),
    ("version 2.0", b"GET %API%/x HTTP/2.0", 505),
    ("version 0.9", b"GET %API%/x HTTP/0.9", 505),
    ("version 1.10", b"GET %API%/x HTTP/1.10", 400),
    ("version 01.1", b"GET %API%/x HTTP/01.1", 400),
    ("version 1,1", b"GET %API%/x HTTP/1,1", 400),
    ("version in lower case", b"GET %API%/x http/1.1", 400),
    ("another protocol", b"GET %API%/x RTSP/1.1", 400),
    ("a method with a bracket", b"G(T %API%/x HTTP/1.1", 400),
    ("a method with a NUL", b"GET\x00 %API%/x HTTP/1.1", 400),
    ("a method with a high byte", b"G\xc9T %API%/x HTTP/1.1", 400),
    ("a method of 40 characters", b"A" * 40 + b" %API%/x HTTP/1.1", 400),
    ("CONNECT with an authority", b"CONNECT internal:22 HTTP/1.1", 501),
    ("CONNECT with a path", b"CONNECT %API%/x HTTP/1.1", 501),
    ("an authority", b"GET internal:80 HTTP/1.1", 400),
    ("an asterisk", b"OPTIONS * HTTP/1.1", 400),
    ("an asterisk with GET", b"GET * HTTP/1.1", 400),
    ("a path without a slash", b"GET x HTTP/1.1", 400),
    ("another host's address", b"GET http://internal%API%/x HTTP/1.1", 400),
    ("an address with a user", b"GET http://u@x%API%/x HTTP/1.1", 400),
    ("an address of another scheme", b"GET file://x/etc/passwd HTTP/1.1", 400),
    ("an address without a host", b"GET http:///x HTTP/1.1", 400),
    ("the preface of HTTP/2", b"PRI * HTTP/2.0", 505),
]
_LINES_GOOD = [
    ("an address of this host", b"GET http://x%API%/y HTTP/1.1", b"GET /y HTTP/1.1"),
    ("the same in capitals", b"GET HTTP://X%API%/y HTTP/1.1", b"GET /y HTTP/1.1"),
    ("a method in lower case", b"get %API%/y HTTP/1.1", b"get /y HTTP/1.1"),
    ("a method nobody knows", b"BREW %API%/y HTTP/1.1", b"BREW /y HTTP/1.1"),
    ("TRACE", b"TRACE %API%/y HTTP/1.1", b"TRACE /y HTTP/1.1"),
    ("an encoded slash", b"GET %API%/a%2Fb HTTP/1.1", b"GET /a%2Fb HTTP/1.1"),
    ("an encoded NUL", b"GET %API%/a%00b HTTP/1.1", b"GET /a%00b HTTP/1.1"),
    ("an encoded line break", b"GET %API%/a%0d%0ab HTTP/1.1", b"GET /a%0d%0ab HTTP/1.1"),
    ("dot segments", b"GET %API%/a/../../b HTTP/1.1", b"GET /a/../../b HTTP/1.1"),
    ("encoded dot segments", b"GET %API%/%2e%2e/b HTTP/1.1", b"GET /%2e%2e/b HTTP/1.1"),
    ("double slashes", b"GET %API%//a///b HTTP/1.1", b"GET //a///b HTTP/1.1"),
    ("a backslash", b"GET %API%/a\\..\\b HTTP/1.1", b"GET /a\\..\\b HTTP/1.1"),
    ("a bad percent sign", b"GET %API%/%zz% HTTP/1.1", b"GET /%zz% HTTP/1.1"),
    ("an encoding too long", b"GET %API%/%c0%af HTTP/1.1", b"GET /%c0%af HTTP/1.1"),
    ("a semicolon", b"GET %API%/a;b=c HTTP/1.1", b"GET /a;b=c HTTP/1.1"),
    ("two question marks", b"GET %API%/a?b?c HTTP/1.1", b"GET /a?b?c HTTP/1.1"),
    ("an empty query", b"GET %API%/a? HTTP/1.1", b"GET /a"),
    ("markup", b"GET %API%/<a>\"'{}|^` HTTP/1.1", b"GET /<a>\"'{}|^` HTTP/1.1"),
]
_NOWHERE = [
    ("dot segments before the API", b"GET /..%API%/x HTTP/1.1"),
    ("two slashes before the API", b"GET /%API%/x HTTP/1.1"),
    ("an encoded first segment", b"GET /%63ats/x HTTP/1.1"),
    ("an encoded slash behind the API", b"GET %API%%2Fx HTTP/1.1"),
    ("nothing but slashes", b"GET //// HTTP/1.1"),
]


def _line(first: bytes) -> bytes:
    return first + b"\r\nHost: x\r\nX-API-Key: %KEY%\r\n\r\n"


LINES = [
    *(
        row(f"line: {name}", f"{RFC9112} 3; {RFC9110} 9.1", _line(first), status)
        for name, first, status in _LINES_BAD
    ),
    *(
        row(f"line: {name}", f"{RFC9112} 3.2; RFC 3986 6", _line(first), 200, sees=(seen,))
        for name, first, seen in _LINES_GOOD
    ),
    *(
        row(f"line: {name}", "RFC 3986 5.2.4; CVE-2021-41773", _line(first), 404)
        for name, first in _NOWHERE
    ),
    row("an empty line before", f"{RFC9112} 2.2", b"\r\n" + head(), 400),
    row("a bare LF before", f"{RFC9112} 2.2", b"\n" + head(), 400),
    row("all lines end with LF", f"{RFC9112} 2.2", head().replace(b"\r\n", b"\n"), 400),
    row(
        "all lines end with CR", f"{RFC9112} 2.2", head().replace(b"\r\n", b"\r") + b"\r\n\r\n", 400
    ),
    row(
        "a TLS hello",
        "wrong port",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"a" * 20,
        400,
    ),
    row("a banner of SSH", "wrong port", b"SSH-2.0-x\r\n\r\n", 400),
    row("a command of Redis", "cross-protocol", b"*1\r\n$4\r\nPING\r\n\r\n", 400),
]

# --- Host

_HOSTS_BAD = [
    ("none", None),
    ("two that agree", b"Host: x\r\nHost: x"),
    ("two that differ", b"Host: x\r\nHost: y"),
    ("an empty one", b"Host:"),
    ("a path in it", b"Host: x/y"),
    ("a user in it", b"Host: a@x"),
    ("a space in it", b"Host: x y"),
    ("a list", b"Host: x, y"),
    ("a question mark", b"Host: x?y"),
    ("markup", b'Host: x"><script>'),
    ("a port that is none", b"Host: x:y"),
    ("two ports", b"Host: x:1:2"),
    ("a bracket left open", b"Host: [::1"),
    ("high bytes", b"Host: \xe9"),
    ("an encoded slash", b"Host: x%2fy"),
    ("a space before the colon", b"Host : x"),
    ("a folded one", b"Host:\r\n x"),
]
HOSTS = [
    *(
        row(f"host: {name}", f"{RFC9112} 3.2; {RFC9110} 7.2", head(host=line), 400)
        for name, line in _HOSTS_BAD
    ),
    row("host: a port", f"{RFC9110} 7.2", head(host=b"Host: x:8080"), 200, sees=(b"x:8080",)),
    row("host: an address of IPv6", "RFC 3986 3.2.2", head(host=b"Host: [::1]:80")),
    row(
        "host: none with 1.0",
        f"{RFC9112} 3.2",
        head(host=None, version=b"HTTP/1.0"),
        200,
        end="closes",
    ),
    row(
        "host: it is the API's alone, X-Forwarded-Host is text",
        "CVE-2018-14773",
        head(b"X-Forwarded-Host: internal"),
        200,
        sees=(b"host: x\r\n", b"x-forwarded-host: internal"),
    ),
]

# --- several on one connection


def _several(name: str, source: str, sent: bytes, *statuses: int, **more: object) -> Row:
    return Row(name, source, sent, statuses, **more)  # type: ignore[arg-type]


SEQUENCES = [
    _several(
        "three at once",
        f"{RFC9112} 9.3.2",
        b"".join(head(target=b"%API%/" + n) for n in (b"a", b"b", b"c")),
        200,
        200,
        200,
        sees=(b"GET /a ", b"GET /b ", b"GET /c "),
    ),
    _several(
        "a body and a request behind it",
        f"{RFC9112} 6.3",
        post(b"Content-Length: 5", body=b"hello") + head(target=b"%API%/b"),
        200,
        200,
        sees=(b"hello", b"GET /b "),
    ),
    _several(
        "chunks and a request behind them",
        f"{RFC9112} 7.1",
        post(CHUNKED, body=JSON5) + head(target=b"%API%/b"),
        200,
        200,
        sees=(b"hello", b"GET /b "),
    ),
    _several(
        "a body that looks like a request",
        "request smuggling",
        post(b"Content-Length: %d" % len(SMUGGLED), body=SMUGGLED),
        200,
        sees=(SMUGGLED,),
    ),
    _several(
        "chunks that look like a request",
        "request smuggling",
        post(CHUNKED, body=b"%x\r\n%b\r\n0\r\n\r\n" % (len(SMUGGLED), SMUGGLED)),
        200,
        sees=(SMUGGLED,),
    ),
    _several(
        "garbage behind a whole request",
        "request smuggling",
        head() + b"GARBAGE\r\n\r\n",
        200,
        400,
        end="closes",
    ),
    _several(
        "a bare CRLF behind a body",
        f"{RFC9112} 2.2",
        post(b"Content-Length: 5", body=b"hello\r\n") + head(),
        200,
        400,
        end="closes",
    ),
    _several(
        "a byte more than the length",
        "request smuggling",
        post(b"Content-Length: 4", body=b"hello") + head(),
        200,
        200,
        sees=(b"oGET /x ",),
        end="either",
    ),
    _several(
        "a bad request behind a good one",
        f"{RFC9112} 9.3.2",
        head() + post(b"Content-Length: 5", CHUNKED, body=JSON5),
        200,
        400,
        end="closes",
    ),
    _several(
        "a good one behind a bad one",
        "request smuggling",
        post(b"Content-Length: 5", CHUNKED, body=b"0\r\n\r\n") + head(),
        400,
        end="closes",
    ),
    _several(
        "Connection: close, and another one",
        f"{RFC9112} 9.6",
        head(b"Connection: close") + head(target=b"%API%/b"),
        200,
        lacks=(b"get /b ",),
        end="closes",
    ),
    _several(
        "1.0 closes, whatever follows",
        f"{RFC9112} 9.3",
        head(version=b"HTTP/1.0") + head(target=b"%API%/b"),
        200,
        lacks=(b"get /b ",),
        end="closes",
    ),
    _several(
        "1.0 with keep-alive",
        f"{RFC9112} appendix C.2.2",
        head(b"Connection: keep-alive", version=b"HTTP/1.0"),
        200,
        end="either",
    ),
    _several(
        "close and keep-alive",
        f"{RFC9112} 9.3",
        head(b"Connection: keep-alive, close"),
        200,
        end="closes",
    ),
]

# --- Expect and Upgrade

EXPECTATIONS = [
    row("expect: something else", f"{RFC9110} 10.1.1", head(b"Expect: 200-ok"), 417),
    row("expect: an empty one", f"{RFC9110} 10.1.1", head(b"Expect:"), 417),
    row("expect: a list", f"{RFC9110} 10.1.1", head(b"Expect: 100-continue, x"), 417),
    row(
        "expect: 100-continue with the body at once",
        f"{RFC9110} 10.1.1",
        post(b"Expect: 100-continue", b"Content-Length: 5", body=b"hello"),
        200,
        sees=(b"hello",),
    ),
    row(
        "expect: in capitals",
        f"{RFC9110} 10.1.1",
        post(b"EXPECT: 100-CONTINUE", b"Content-Length: 5", body=b"hello"),
        200,
        sees=(b"hello",),
    ),
    row("expect: without a body", f"{RFC9110} 10.1.1", head(b"Expect: 100-continue")),
    row(
        "upgrade: to a protocol nobody speaks",
        f"{RFC9110} 7.8",
        head(b"Connection: upgrade", b"Upgrade: IRC/6.9"),
        200,
        lacks=(b"irc", b"upgrade"),
    ),
    row(
        "upgrade: WebSocket of a version nobody speaks",
        "RFC 6455 4.4",
        head(
            b"Connection: Upgrade",
            b"Upgrade: websocket",
            b"Sec-WebSocket-Version: 7",
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        ),
        426,
        end="either",
    ),
    row(
        "upgrade: WebSocket without Connection",
        "RFC 6455 4.1",
        head(b"Upgrade: websocket", b"Sec-WebSocket-Version: 13"),
        200,
        lacks=(b"\r\nupgrade:",),
    ),
    row(
        "upgrade: h2c with a request behind it",
        "h2c smuggling",
        head(b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABk"),
        200,
        lacks=(b"h2c", b"http2-settings"),
    ),
]

GROUPS: dict[str, list[Row]] = {
    "framing": FRAMING,
    "chunks": CHUNKS,
    "fields": FIELDS,
    "lines": LINES,
    "hosts": HOSTS,
    "sequences": SEQUENCES,
    "expectations": EXPECTATIONS,
}
ROWS: list[Row] = [each for rows in GROUPS.values() for each in rows]
