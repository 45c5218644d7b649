"""Requests as no client of good will sends them, and what becomes of each. Data only.

`%API%` stands for the address of an API, `%KEY%` for a key of it; behind it is a sandbox that
answers every call with the bytes that reached it. The rules are those at the top of
`gateway/server/request.py` and `gateway/server/chunks.py`, and of `docs/call-path.md`.
"""

from dataclasses import dataclass
from typing import Literal

End = Literal["stays", "closes", "either"]

RFC9110, RFC9112 = "RFC 9110", "RFC 9112"


@dataclass(frozen=True, slots=True)
class Row:
    """One connection: what is sent on it, the statuses of the answers, what the sandbox sees.

    `stays`: a further call on the same connection is answered as if nothing had been.
    """

    name: str
    source: str
    sent: bytes
    statuses: tuple[int, ...]
    sees: tuple[bytes, ...] = ()  # in what reached the sandbox, all calls together
    lacks: tuple[bytes, ...] = ()  # not in it, in lower case
    end: End = "stays"

    @property
    def verdict(self) -> str:
        """For the table."""
        if self.statuses == (200,) and self.lacks:
            return f"passes without {b', '.join(self.lacks).decode('latin-1')}"
        if set(self.statuses) == {200}:
            return "passes" if len(self.statuses) == 1 else f"{len(self.statuses)} calls, in order"
        return f"refused with {self.statuses[-1]}" if self.statuses else "connection closed"


def head(
    *lines: bytes,
    method: bytes = b"GET",
    target: bytes = b"%API%/x",
    version: bytes = b"HTTP/1.1",
    host: bytes | None = b"Host: x",
) -> bytes:
    """A request's head with a key, and these lines after it."""
    first = b"%b %b %b" % (method, target, version)
    fields = [b"X-API-Key: %KEY%", *lines]
    return b"\r\n".join([first, *([host] if host is not None else []), *fields, b"", b""])


def _row(name: str, source: str, sent: bytes, status: int = 200, **more: object) -> Row:
    end: End = "stays" if status in (200, 404) else "closes"
    return Row(name, source, sent, (status,), **{"end": end, **more})  # type: ignore[arg-type]


CHUNKED = b"Transfer-Encoding: chunked"
JSON5 = b"5\r\nhello\r\n0\r\n\r\n"
SMUGGLED = b"GET /admin HTTP/1.1\r\nHost: x\r\n\r\n"


def post(*lines: bytes, body: bytes = b"") -> bytes:
    """A POST with these lines and whatever body."""
    return head(*lines, method=b"POST") + body


# --- two lengths, two codings

_BOTH = [
    ("length, then chunked (CL.TE)", b"Content-Length: 5", CHUNKED, JSON5),
    ("chunked, then length (TE.CL)", CHUNKED, b"Content-Length: 5", JSON5),
    ("length zero and chunked", b"Content-Length: 0", CHUNKED, JSON5),
    ("length that covers a request", b"Content-Length: 60", CHUNKED, b"0\r\n\r\n" + SMUGGLED),
]
_CODINGS = [
    ("chunked with a vertical tab", b"Transfer-Encoding: \x0bchunked", 400),
    ("xchunked", b"Transfer-Encoding: xchunked", 400),
    ("chunked, identity", b"Transfer-Encoding: chunked, identity", 400),
    ("identity", b"Transfer-Encoding: identity", 400),
    ("identity, chunked", b"Transfer-Encoding: identity, chunked", 400),
    ("gzip, chunked", b"Transfer-Encoding: gzip, chunked", 400),
    ("chunked, chunked", b"Transfer-Encoding: chunked, chunked", 400),
    ("a quoted chunked", b'Transfer-Encoding: "chunked"', 400),
    ("chunked with a parameter", b"Transfer-Encoding: chunked;q=1", 400),
    ("an empty coding", b"Transfer-Encoding:", 400),
    ("a comma before", b"Transfer-Encoding: ,chunked", 400),
    ("a comma after", b"Transfer-Encoding: chunked,", 400),
    ("two lines", b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", 400),
    ("two lines, one unknown", b"Transfer-Encoding: chunked\r\nTransfer-Encoding: cow", 400),
    ("a space before the colon", b"Transfer-Encoding : chunked", 400),
    ("a tab before the colon", b"Transfer-Encoding\t: chunked", 400),
    ("a folded value", b"Transfer-Encoding:\r\n chunked", 400),
    ("a NUL behind it", b"Transfer-Encoding: chunked\x00", 400),
    ("a bare CR behind it", b"Transfer-Encoding: chunked\rX", 400),
    ("a bare LF before it", b"X: y\nTransfer-Encoding: chunked", 400),
    ("a bare CR before it", b"X: y\rTransfer-Encoding: chunked", 400),
    ("a space before the name", b" Transfer-Encoding: chunked", 400),
    ("a name with a high byte", b"Transfer-Encoding\xa0: chunked", 400),
    ("a high byte in the value", b"Transfer-Encoding: chunked\xa0", 400),
]
_LENGTHS = [
    ("a plus", b"+5"),
    ("a minus", b"-5"),
    ("minus zero", b"-0"),
    ("hexadecimal", b"0x5"),
    ("an exponent", b"5e0"),
    ("a point", b"5.0"),
    ("an underscore", b"1_0"),
    ("a list of equals", b"5, 5"),
    ("a list of others", b"5, 6"),
    ("an empty value", b""),
    ("a word", b"five"),
    ("a space inside", b"1 0"),
    ("a comma behind", b"5,"),
    ("a semicolon", b"5;"),
    ("quotes", b'"5"'),
    ("digits of Arabic", "\u0665".encode()),
    ("a full-width digit", "\uff15".encode()),
    ("more than 64 bits", b"18446744073709551621"),
    ("4300 digits", b"9" * 4300),
    ("a NUL", b"5\x00"),
    ("a vertical tab", b"5\x0b"),
]
FRAMING = [
    *(
        _row(f"both: {name}", f"{RFC9112} 6.1; CVE-2019-18860", post(one, other, body=body), 400)
        for name, one, other, body in _BOTH
    ),
    *(
        _row(f"coding: {name}", f"{RFC9112} 6.1, 7", post(line, body=JSON5), status)
        for name, line, status in _CODINGS
    ),
    *(
        _row(
            f"length: {name}",
            f"{RFC9110} 8.6; CVE-2022-24766",
            post(b"Content-Length: " + text, body=b"hello"),
            400,
        )
        for name, text in _LENGTHS
    ),
    _row(
        "length: two lines that agree",
        f"{RFC9112} 6.3",
        post(b"Content-Length: 5", b"Content-Length: 5", body=b"hello"),
        400,
    ),
    _row(
        "length: two lines that differ",
        f"{RFC9112} 6.3; CVE-2020-11724",
        post(b"Content-Length: 0", b"Content-Length: 5", body=b"hello"),
        400,
    ),
    _row(
        "length: a space before the colon",
        f"{RFC9112} 5.1; CVE-2019-16276",
        post(b"Content-Length : 5", body=b"hello"),
        400,
    ),
    _row(
        "length: zeros before it",
        f"{RFC9110} 8.6",
        post(b"Content-Length: 0005", body=b"hello"),
        200,
        sees=(b"hello",),
    ),
    _row(
        "length: white space around it",
        f"{RFC9110} 5.5",
        post(b"Content-Length: \t5 ", body=b"hello"),
        200,
        sees=(b"hello",),
    ),
    _row(
        "length: of a GET",
        f"{RFC9110} 9.3.1",
        head(b"Content-Length: 5") + b"hello",
        200,
        sees=(b"hello",),
    ),
    _row(
        "length: over the cap",
        f"{RFC9110} 15.5.14",
        post(b"Content-Length: 10485761"),
        413,
        end="either",
    ),
    _row(
        "coding: in capitals",
        f"{RFC9112} 7",
        post(b"TRANSFER-ENCODING: CHUNKED", body=JSON5),
        200,
        sees=(b"5\r\nhello\r\n", b"transfer-encoding: chunked"),
    ),
    _row(
        "coding: of a 1.0 request",
        f"{RFC9112} 6.1",
        head(CHUNKED, method=b"POST", version=b"HTTP/1.0") + JSON5,
        400,
    ),
    _row(
        "an underscore for the hyphen of a length",
        "CVE-2023-25690; CGI names, RFC 3875 4.1.18",
        head(b"Content_Length: 5"),
        200,
    ),
    _row(
        "an underscore for the hyphen of a coding",
        "RFC 3875 4.1.18",
        head(b"Transfer_Encoding: chunked"),
    ),
]

# --- chunks

_CHUNKS_GOOD = [
    ("one chunk", JSON5, b"hello"),
    ("capitals", b"A\r\n0123456789\r\n0\r\n\r\n", b"0123456789"),
    ("zeros before the size", b"0005\r\nhello\r\n0\r\n\r\n", b"hello"),
    ("an extension", b"5;a=b\r\nhello\r\n0\r\n\r\n", b"hello"),
    ("a quoted extension", b'5;a="b;c"\r\nhello\r\n0\r\n\r\n', b"hello"),
    ("several zeros at the end", b"5\r\nhello\r\n000\r\n\r\n", b"hello"),
    ("no data at all", b"0\r\n\r\n", b"transfer-encoding: chunked"),
]
_CHUNKS_BAD = [
    ("0x", b"0x5\r\nhello\r\n0\r\n\r\n"),
    ("a plus", b"+5\r\nhello\r\n0\r\n\r\n"),
    ("a minus", b"-5\r\nhello\r\n0\r\n\r\n"),
    ("an underscore", b"0_5\r\nhello\r\n0\r\n\r\n"),
    ("a space before", b" 5\r\nhello\r\n0\r\n\r\n"),
    ("a space behind", b"5 \r\nhello\r\n0\r\n\r\n"),
    ("a letter that is none", b"g\r\nhello\r\n0\r\n\r\n"),
    ("an empty size", b"\r\nhello\r\n0\r\n\r\n"),
    ("only an extension", b";a=b\r\nhello\r\n0\r\n\r\n"),
    ("more than 64 bits", b"10000000000000005\r\nhello\r\n0\r\n\r\n"),
    ("a size ended by LF", b"5\nhello\r\n0\r\n\r\n"),
    ("a size ended by CR", b"5\rhello\r\n0\r\n\r\n"),
    ("a LF in the extension", b"5;a\nhello\r\n0\r\n\r\n"),
    ("a CR in the extension", b"5;a\rb\r\nhello\r\n0\r\n\r\n"),
    ("a NUL in the extension", b"5;a\x00\r\nhello\r\n0\r\n\r\n"),
    ("an endless extension", b"5;" + b"a" * 5000 + b"\r\nhello\r\n0\r\n\r\n"),
    ("no CRLF behind the data", b"5\r\nhello0\r\n\r\n"),
    ("LF behind the data", b"5\r\nhello\n0\r\n\r\n"),
    ("two bytes of something behind the data", b"5\r\nhelloXX0\r\n\r\n"),
    ("a size too small", b"4\r\nhello\r\n0\r\n\r\n"),
    ("a last chunk ended by LF", b"5\r\nhello\r\n0\n\n"),
]
_TRAILERS_GOOD = [
    ("a field", b"X-Sum: 1\r\n", b"x-sum"),
    ("a length", b"Content-Length: 50\r\n", b"content-length: 50"),
    ("a key", b"X-API-Key: other\r\n", b"other"),
    ("a private header", b"X-Sandgate-Context: evil\r\n", b"evil"),
]
_TRAILERS_BAD = [
    ("a folded field", b"X: a\r\n b\r\n"),
    ("a space before the colon", b"X : a\r\n"),
    ("no colon", b"X\r\n"),
    ("a bare LF", b"X: a\n"),
    ("a NUL", b"X: a\x00\r\n"),
    ("5000 bytes", b"X: " + b"a" * 5000 + b"\r\n"),
    ("two thousand fields", b"X: a\r\n" * 2000),
]
CHUNKS = [
    *(
        _row(f"chunk: {name}", f"{RFC9112} 7.1", post(CHUNKED, body=body), 200, sees=(seen,))
        for name, body, seen in _CHUNKS_GOOD
    ),
    *(
        _row(f"chunk: {name}", f"{RFC9112} 7.1; CVE-2024-23829", post(CHUNKED, body=body), 400)
        for name, body in _CHUNKS_BAD
    ),
    *(
        _row(
            f"trailer: {name}",
            f"{RFC9110} 6.5.1",
            post(CHUNKED, body=b"5\r\nhello\r\n0\r\n" + line + b"\r\n"),
            200,
            sees=(b"hello",),
            lacks=(seen,),
        )
        for name, line, seen in _TRAILERS_GOOD
    ),
    *(
        _row(
            f"trailer: {name}",
            f"{RFC9112} 7.1.2",
            post(CHUNKED, body=b"5\r\nhello\r\n0\r\n" + line + b"\r\n"),
            400,
        )
        for name, line in _TRAILERS_BAD
    ),
]

# --- fields

_FIELDS_BAD = [
    ("a folded line", b"X: a\r\n b", "5.2"),
    ("a line folded with a tab", b"X: a\r\n\tb", "5.2"),
    ("a folded first line", b" X: a", "2.2"),
    ("a bare LF between fields", b"X: a\nY: b", "2.2"),
    ("a bare CR between fields", b"X: a\rY: b", "2.2"),
    ("a CR before the CRLF", b"X: a\r\r\nY: b", "2.2"),
    ("a NUL in a value", b"X: a\x00b", "5.5"),
    ("a NUL in a name", b"X\x00: a", "5.1"),
    ("a control character in a value", b"X: a\x01b", "5.5"),
    ("a DEL in a value", b"X: a\x7fb", "5.5"),
    ("an escape in a value", b"X: \x1b[31m", "5.5"),
    ("a space in a name", b"X Y: a", "5.1"),
    ("a space before the colon", b"X : a", "5.1"),
    ("no name", b": a", "5.1"),
    ("no colon", b"X", "5.1"),
    ("a high byte in a name", b"X\xe9: a", "5.1"),
    ("a slash in a name", b"X/Y: a", "5.1"),
    ("a bracket in a name", b"X[: a", "5.1"),
    ("a line break in a name", b"X\r\nY", "5.1"),
]
_DROPPED = [
    ("Connection names it", b"Connection: X-Own\r\nX-Own: 1", b"x-own"),
    ("Connection names it in capitals", b"Connection: X-OWN\r\nX-Own: 1", b"x-own"),
    ("Connection names it in a list", b"Connection: a ,x-own, b\r\nX-Own: 1", b"x-own"),
    ("two Connection lines", b"Connection: a\r\nConnection: x-own\r\nX-Own: 1", b"x-own"),
    ("Keep-Alive", b"Keep-Alive: timeout=5", b"keep-alive"),
    ("Proxy-Connection", b"Proxy-Connection: keep-alive", b"proxy-connection"),
    ("Proxy-Authorization", b"Proxy-Authorization: Basic eA==", b"proxy-authorization"),
    ("TE", b"TE: trailers", b"\r\nte:"),
    ("Trailer", b"Trailer: X-Sum", b"\r\ntrailer:"),
    ("Upgrade without Connection", b"Upgrade: h2c", b"h2c"),
    ("Upgrade to h2c", b"Connection: Upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: x", b"h2c"),
    ("the gateway's private header", b"X-Sandgate-Context: 1.2.3.4 1 http / r 0", b"1.2.3.4"),
    ("its alias with underscores", b"X_Sandgate_Context: 1.2.3.4", b"1.2.3.4"),
    ("its alias with one underscore", b"X-Sandgate_Context: 1.2.3.4", b"1.2.3.4"),
    ("a proxy header with an underscore", b"Proxy_Authorization: Basic eA==", b"basic"),
    ("the key itself", b"X-Nothing: 1", b"x-api-key"),
]
_PASSED = [
    ("a field twice", b"X-A: 1\r\nX-A: 2", (b"x-a: 1", b"x-a: 2")),
    ("an empty value", b"X-A:", (b"x-a: \r\n",)),
    ("white space around a value", b"X-A: \t1 \t", (b"x-a: 1\r\n",)),
    ("a tab inside a value", b"X-A: 1\t2", (b"x-a: 1\t2",)),
    ("high bytes in a value", b"X-A: \xe9\xff", (b"x-a: \xe9\xff",)),
    ("all characters of a token", b"X!#$%&'*+-.^_`|~1: 1", (b"x!#$%&'*+-.^_`|~1: 1",)),
    ("Connection names Content-Type", b"Connection: Content-Type\r\nX-A: 1", (b"x-a: 1",)),
    ("Authorization beside the key", b"Authorization: Bearer own", (b"authorization: Bearer own",)),
    ("Connection names Host", b"Connection: Host", (b"host: x",)),
    ("X-Forwarded-For of anybody", b"X-Forwarded-For: 1.2.3.4", (b"x-forwarded-for: 1.2.3.4",)),
]
FIELDS = [
    *(
        _row(f"field: {name}", f"{RFC9112} {section}", head(line, b"Z: z"), 400)
        for name, line, section in _FIELDS_BAD
    ),
    *(
        _row(f"dropped: {name}", f"{RFC9110} 7.6.1", head(line), 200, lacks=(seen,))
        for name, line, seen in _DROPPED
    ),
    *(
        _row(f"passed: {name}", f"{RFC9110} 5.3, 5.5", head(line), 200, sees=seen)
        for name, line, seen in _PASSED
    ),
    _row(
        "Connection names Content-Length",
        "CVE-2022-1388",
        post(b"Connection: Content-Length", b"Content-Length: 5", body=b"hello"),
        200,
        sees=(b"content-length: 5", b"hello"),
    ),
    _row("two keys", "ambiguous sign-in", head(b"X-API-Key: other"), 400, end="either"),
    _row("100 fields and more", "resource bound", head(*[b"A: b"] * 120), 431),
    _row("100 000 fields", "resource bound", head(*[b"A: b"] * 100_000), 431, end="either"),
    _row("a head of 40 KB", "resource bound", head(b"A: " + b"b" * 40_000), 431),
    _row("a target of 40 KB", "resource bound", head(target=b"%API%/" + b"a" * 40_000), 431),
    _row("a head of 30 KB", "resource bound", head(b"A: " + b"b" * 30_000)),
    _row("a head that never ends", "slowloris", b"GET / HTTP/1.1\r\nA: " + b"b" * 50_000, 431),
]

# --- request lines

_LINES_BAD = [
    ("two spaces before the target", b"GET  %API%/x HTTP/1.1", 400),
    ("two spaces before the version", b"GET %API%/x  HTTP/1.1", 400),
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
    ("an address with our host as its user", b"GET http://x@internal%API%/x HTTP/1.1"),
    ("nothing but slashes", b"GET //// HTTP/1.1"),
]


def _line(first: bytes) -> bytes:
    return first + b"\r\nHost: x\r\nX-API-Key: %KEY%\r\n\r\n"


LINES = [
    *(
        _row(f"line: {name}", f"{RFC9112} 3; {RFC9110} 9.1", _line(first), status)
        for name, first, status in _LINES_BAD
    ),
    *(
        _row(f"line: {name}", f"{RFC9112} 3.2; RFC 3986 6", _line(first), 200, sees=(seen,))
        for name, first, seen in _LINES_GOOD
    ),
    *(
        _row(f"line: {name}", "RFC 3986 5.2.4; CVE-2021-41773", _line(first), 404)
        for name, first in _NOWHERE
    ),
    _row("an empty line before", f"{RFC9112} 2.2", b"\r\n" + head(), 400),
    _row("a bare LF before", f"{RFC9112} 2.2", b"\n" + head(), 400),
    _row("all lines end with LF", f"{RFC9112} 2.2", head().replace(b"\r\n", b"\n"), 400),
    _row(
        "all lines end with CR", f"{RFC9112} 2.2", head().replace(b"\r\n", b"\r") + b"\r\n\r\n", 400
    ),
    _row(
        "a TLS hello",
        "wrong port",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"a" * 20,
        400,
    ),
    _row("a banner of SSH", "wrong port", b"SSH-2.0-x\r\n\r\n", 400),
    _row("a command of Redis", "cross-protocol", b"*1\r\n$4\r\nPING\r\n\r\n", 400),
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
        _row(f"host: {name}", f"{RFC9112} 3.2; {RFC9110} 7.2", head(host=line), 400)
        for name, line in _HOSTS_BAD
    ),
    _row("host: a port", f"{RFC9110} 7.2", head(host=b"Host: x:8080"), 200, sees=(b"x:8080",)),
    _row("host: an address of IPv6", "RFC 3986 3.2.2", head(host=b"Host: [::1]:80")),
    _row(
        "host: none with 1.0",
        f"{RFC9112} 3.2",
        head(host=None, version=b"HTTP/1.0"),
        200,
        end="closes",
    ),
    _row(
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
    _row("expect: something else", f"{RFC9110} 10.1.1", head(b"Expect: 200-ok"), 417),
    _row("expect: an empty one", f"{RFC9110} 10.1.1", head(b"Expect:"), 417),
    _row("expect: a list", f"{RFC9110} 10.1.1", head(b"Expect: 100-continue, x"), 417),
    _row(
        "expect: 100-continue with the body at once",
        f"{RFC9110} 10.1.1",
        post(b"Expect: 100-continue", b"Content-Length: 5", body=b"hello"),
        200,
        sees=(b"hello",),
    ),
    _row(
        "expect: in capitals",
        f"{RFC9110} 10.1.1",
        post(b"EXPECT: 100-CONTINUE", b"Content-Length: 5", body=b"hello"),
        200,
        sees=(b"hello",),
    ),
    _row("expect: without a body", f"{RFC9110} 10.1.1", head(b"Expect: 100-continue")),
    _row(
        "upgrade: to a protocol nobody speaks",
        f"{RFC9110} 7.8",
        head(b"Connection: upgrade", b"Upgrade: IRC/6.9"),
        200,
        lacks=(b"irc", b"upgrade"),
    ),
    _row(
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
    _row(
        "upgrade: WebSocket without Connection",
        "RFC 6455 4.1",
        head(b"Upgrade: websocket", b"Sec-WebSocket-Version: 13"),
        200,
        lacks=(b"\r\nupgrade:",),
    ),
    _row(
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
ROWS: list[Row] = [row for rows in GROUPS.values() for row in rows]
