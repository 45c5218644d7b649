"""Raw requests with fields as nobody should write them. Data only."""

from tests.hostile.raw_rows import BOMB, RFC9110, RFC9112, head, post, row

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
    ("a coding nobody opened", b"Content-Encoding: gzip", (b"content-encoding: gzip",)),
    ("high bytes in a value", b"X-A: \xe9\xff", (b"x-a: \xe9\xff",)),
    ("all characters of a token", b"X!#$%&'*+-.^_`|~1: 1", (b"x!#$%&'*+-.^_`|~1: 1",)),
    ("Connection names Content-Type", b"Connection: Content-Type\r\nX-A: 1", (b"x-a: 1",)),
    ("Authorization beside the key", b"Authorization: Bearer own", (b"authorization: Bearer own",)),
    ("Connection names Host", b"Connection: Host", (b"host: x",)),
    ("X-Forwarded-For of anybody", b"X-Forwarded-For: 1.2.3.4", (b"x-forwarded-for: 1.2.3.4",)),
]
FIELDS = [
    *(
        row(f"field: {name}", f"{RFC9112} {section}", head(line, b"Z: z"), 400)
        for name, line, section in _FIELDS_BAD
    ),
    *(
        row(f"dropped: {name}", f"{RFC9110} 7.6.1", head(line), 200, lacks=(seen,))
        for name, line, seen in _DROPPED
    ),
    *(
        row(f"passed: {name}", f"{RFC9110} 5.3, 5.5", head(line), 200, sees=seen)
        for name, line, seen in _PASSED
    ),
    row(
        "Connection names Content-Length",
        "CVE-2022-1388",
        post(b"Connection: Content-Length", b"Content-Length: 5", body=b"hello"),
        200,
        sees=(b"content-length: 5", b"hello"),
    ),
    row(
        "a gzip bomb of 10 MB",
        "CWE-409",
        post(b"Content-Encoding: gzip", b"Content-Length: %d" % len(BOMB), body=BOMB),
        200,
        sees=(b"content-encoding: gzip", BOMB),
    ),
    row("two keys", "ambiguous sign-in", head(b"X-API-Key: other"), 400, end="either"),
    row("100 fields and more", "resource bound", head(*[b"A: b"] * 120), 431),
    row("100 000 fields", "resource bound", head(*[b"A: b"] * 100_000), 431, end="either"),
    row("a head of 40 KB", "resource bound", head(b"A: " + b"b" * 40_000), 431),
    row("a target of 40 KB", "resource bound", head(target=b"%API%/" + b"a" * 40_000), 431),
    row("a head of 30 KB", "resource bound", head(b"A: " + b"b" * 30_000)),
    row("a head that never ends", "slowloris", b"GET / HTTP/1.1\r\nA: " + b"b" * 50_000, 431),
]
