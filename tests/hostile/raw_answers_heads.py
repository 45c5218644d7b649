"""Heads of answers as no server of good will sends them. Data only."""

from gateway.proxy.connection import MAX_INTERIM
from gateway.proxy.head import MAX_FIELDS
from tests.hostile.raw_answer_rows import HEAD, RFC9110, RFC9112, Then, answer, bad, good
from tests.hostile.raw_rows import head

# --- status lines

_LINES_BAD = [
    ("garbage", b"evil"),
    ("an empty line first", b"\r\nHTTP/1.1 200 evil"),
    ("a space first", b" HTTP/1.1 200 evil"),
    ("HTTP/0.9", b"<html>evil</html>"),
    ("HTTP/1.0", b"HTTP/1.0 200 evil"),
    ("HTTP/1.2", b"HTTP/1.2 200 evil"),
    ("HTTP/1.10", b"HTTP/1.10 200 evil"),
    ("HTTP/2.0", b"HTTP/2.0 200 evil"),
    ("HTTP/2", b"HTTP/2 200 evil"),
    ("version in lower case", b"http/1.1 200 evil"),
    ("another protocol", b"ICY 200 evil"),
    ("no status", b"HTTP/1.1 evil"),
    ("status alone, without its space", b"HTTP/1.1 200"),
    ("status of two digits", b"HTTP/1.1 20 evil"),
    ("status of four digits", b"HTTP/1.1 2000 evil"),
    ("status 000", b"HTTP/1.1 000 evil"),
    ("status 099", b"HTTP/1.1 099 evil"),
    ("status 600", b"HTTP/1.1 600 evil"),
    ("status 999", b"HTTP/1.1 999 evil"),
    ("status -200", b"HTTP/1.1 -200 evil"),
    ("status +200", b"HTTP/1.1 +200 evil"),
    ("status 0xc8", b"HTTP/1.1 0xc8 evil"),
    ("status 2e2", b"HTTP/1.1 2e2 evil"),
    ("status in digits of Arabic", "HTTP/1.1 ٢٠٠ evil".encode()),
    ("two spaces before the status", b"HTTP/1.1  200 evil"),
    ("a tab before the status", b"HTTP/1.1\t200 evil"),
    ("a tab behind the status", b"HTTP/1.1 200\tevil"),
    ("a bare LF in the reason", b"HTTP/1.1 200 a\nX: evil"),
    ("a bare CR in the reason", b"HTTP/1.1 200 a\rX: evil"),
    ("a NUL in the reason", b"HTTP/1.1 200 evil\0"),
    ("an escape in the reason", b"HTTP/1.1 200 \x1b[31mevil"),
    ("a request", b"GET /evil HTTP/1.1"),
]
_LINES_GOOD = [
    ("reason left out", b"HTTP/1.1 200 ", 200, b"HTTP/1.1 200 OK"),
    ("another reason", b"HTTP/1.1 404 evil", 404, b"HTTP/1.1 404 Not Found"),
    ("markup as reason", b"HTTP/1.1 200 <script>evil", 200, b"HTTP/1.1 200 OK"),
    ("high bytes as reason", b"HTTP/1.1 200 \xe9\xffevil", 200, b"HTTP/1.1 200 OK"),
    ("a reason of 60 KB", b"HTTP/1.1 200 " + b"evil" * 15_000, 200, b"HTTP/1.1 200 OK"),
    ("status 299", b"HTTP/1.1 299 evil", 299, b"HTTP/1.1 299 "),
    ("status 599", b"HTTP/1.1 599 evil", 599, b"HTTP/1.1 599 "),
]
LINES = [
    *(
        bad(f"line: {name}", f"{RFC9112} 4", answer(first=line, body=b"evil"))
        for name, line in _LINES_BAD
    ),
    *(
        good(f"line: {name}", f"{RFC9112} 4", answer(first=line), status=status, has=(seen,))
        for name, line, status, seen in _LINES_GOOD
    ),
    bad(
        "line: all lines end with LF",
        f"{RFC9112} 2.2",
        answer(b"X: evil").replace(b"\r\n", b"\n"),
    ),
    bad("line: only LF at the end of the head", f"{RFC9112} 2.2", b"HTTP/1.1 200 evil\r\n\n"),
    bad(
        "line: a banner of SSH in pieces",
        "wrong protocol",
        (b"SSH-2.0-evil\r\n", b"evil\r\n"),
    ),
]

# --- 1xx

_EARLY = b"HTTP/1.1 103 Early Hints\r\nLink: </evil>\r\n\r\n"
_SWITCH = b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: evil\r\n\r\n"
_UPGRADE = (b"Connection: Upgrade", b"Upgrade: evil")
INTERIM = [
    good("interim: 100", f"{RFC9110} 15.2.1", b"HTTP/1.1 100 evil\r\n\r\n" + answer()),
    good("interim: 102 and 103 with fields", f"{RFC9110} 15.2", _EARLY * 2 + answer()),
    good("interim: 199", f"{RFC9110} 15", b"HTTP/1.1 199 evil\r\n\r\n" + answer()),
    good("interim: each in a piece of its own", f"{RFC9110} 15.2", (_EARLY, _EARLY, answer())),
    good("interim: as many as may be", "resource bound", _EARLY * MAX_INTERIM + answer()),
    good("interim: before an answer to HEAD", f"{RFC9110} 15.2",
         _EARLY + b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n", asked=HEAD, body=b""),
    bad("interim: one more than may be", "resource bound", _EARLY * (MAX_INTERIM + 1) + answer()),
    bad("interim: a flood", "resource bound", (_EARLY * 1000, _EARLY * 1000, answer())),
    bad("interim: a flood in pieces", "resource bound", (*[_EARLY] * 50, answer())),
    bad("interim: a body behind its length", f"{RFC9110} 15.2",
        b"HTTP/1.1 103 x\r\ncontent-length: 4\r\n\r\nevil" + answer()),
    bad("interim: chunks", f"{RFC9110} 15.2",
        b"HTTP/1.1 100 x\r\ntransfer-encoding: chunked\r\n\r\n4\r\nevil\r\n0\r\n\r\n" + answer()),
    bad("interim: a malformed one", f"{RFC9112} 5", b"HTTP/1.1 103 x\r\nevil\r\n\r\n" + answer()),
    bad("interim: a folded one", f"{RFC9112} 5.2",
        b"HTTP/1.1 103 x\r\na: b\r\n evil\r\n\r\n" + answer()),
    bad("interim: 101 unasked", f"{RFC9110} 15.2.2", _SWITCH + b"evil"),
    bad("interim: 101 to HEAD", f"{RFC9110} 15.2.2", _SWITCH + b"evil", asked=HEAD),
    bad("interim: 101 to an upgrade that was not passed on", f"{RFC9110} 7.8",
        _SWITCH + b"evil", asked=head(*_UPGRADE)),
    bad("interim: 101 and an answer", f"{RFC9110} 15.2.2", _SWITCH + answer()),
    bad("interim: nothing but interim answers", f"{RFC9110} 15.2", (_EARLY,),
        code="api_died", then=Then.CLOSES),
]  # fmt: skip

# --- fields

_FIELDS_BAD = [
    ("a folded line", b"X: a\r\n evil", "5.2"),
    ("a line folded with a tab", b"X: a\r\n\tevil", "5.2"),
    ("a folded length", b"Content-Length:\r\n 2\r\nX: evil", "5.2"),
    ("a bare LF between fields", b"X: a\nX: evil", "2.2"),
    ("a bare CR between fields", b"X: a\rX: evil", "2.2"),
    ("a bare CR in a value", b"X: a\revil", "2.2"),
    ("CR twice", b"X: evil\r", "2.2"),
    ("a NUL in a value", b"X: \0evil", "5.5"),
    ("a NUL in a name", b"X\0: evil", "5.1"),
    ("a control character", b"X: \x01evil", "5.5"),
    ("a backspace", b"X: \x08evil", "5.5"),
    ("a vertical tab", b"X:\x0bevil", "5.5"),
    ("DEL", b"X: evil\x7f", "5.5"),
    ("a space before the colon", b"X : evil", "5.1"),
    ("a tab before the colon", b"X\t: evil", "5.1"),
    ("a space before the colon of a length", b"Content-Length : 2", "5.1"),
    ("a space before the name", b" X: evil", "2.2"),
    ("a space in a name", b"X Y: evil", "5.1"),
    ("an empty name", b": evil", "5.1"),
    ("no colon", b"evil", "5.1"),
    ("a name in quotes", b'"X": evil', "5.1"),
    ("a name with a high byte", b"X\xe4: evil", "5.1"),
    ("a name with a bracket", b"X[0]: evil", "5.1"),
    ("a name with a semicolon", b"X;: evil", "5.1"),
    ("a request line among them", b"GET /evil HTTP/1.1", "5.1"),
    ("a second status line among them", b"HTTP/1.1 200 evil", "5.1"),
]
FIELDS = [
    *(
        bad(f"field: {name}", f"{RFC9112} {section}", answer(line, b"Z: z"))
        for name, line, section in _FIELDS_BAD
    ),
    good("field: an empty value", f"{RFC9110} 5.5", answer(b"X-A:"), has=(b"x-a: ",)),
    good("field: white space around a value", f"{RFC9110} 5.5",
         answer(b"X-A: \t1 \t"), has=(b"x-a: 1",)),
    good("field: colons in a value", f"{RFC9110} 5.5",
         answer(b"X-A: b: c:d"), has=(b"x-a: b: c:d",)),
    good("field: high bytes in a value", f"{RFC9110} 5.5",
         answer(b"X-A: \xe9\xff"), has=(b"x-a: \xe9\xff",)),
    good("field: encoded line breaks stay encoded", "CWE-113",
         answer(b"X-A: %0d%0aX-B: 1"), has=(b"x-a: %0d%0aX-B: 1",), lacks=(b"\r\nx-b",)),
    good("field: a line break of another alphabet", "CWE-113",
         answer("X-A: 嘊嘍X-B: 1".encode()), has=("x-a: 嘊嘍X-B: 1".encode(),),
         lacks=(b"\r\nx-b",)),
    good("field: a name in capitals is in lower case", f"{RFC9110} 5.1",
         answer(b"X-ODD: 1"), has=(b"x-odd: 1",)),
    good("field: all characters of a token", f"{RFC9110} 5.6.2",
         answer(b"!#$%&'*+-.^_`|~1: 1"), has=(b"!#$%&'*+-.^_`|~1: 1",)),
    good("field: the same twice, in order", f"{RFC9110} 5.3",
         answer(b"X-A: 1", b"X-B: 2", b"X-A: 3"), has=(b"x-a: 1", b"x-a: 3")),
]  # fmt: skip

# --- sizes

_START = b"HTTP/1.1 200 OK\r\n"
SIZES = [
    good("size: as many fields as may be", "resource bound",
         answer(*[b"A: b"] * (MAX_FIELDS - 1)), has=(b"a: b",)),
    bad("size: one field more", "resource bound", answer(*[b"A: b"] * MAX_FIELDS)),
    bad("size: 100 000 fields", "resource bound", answer(*[b"A: b"] * 100_000)),
    bad("size: 100 000 fields of one byte and no end", "resource bound",
        _START + b"a:\r\n" * 100_000),
    good("size: a value of 60 KB", "resource bound",
         answer(b"A: " + b"b" * 60_000), has=(b"a: " + b"b" * 60_000,)),
    bad("size: a value of 64 KiB", "resource bound", answer(b"A: " + b"b" * 65_536)),
    bad("size: a value of 1 MB", "resource bound", answer(b"A: " + b"b" * 1_000_000)),
    bad("size: a value of 1 MB in pieces", "resource bound",
        (_START + b"A: ", *[b"b" * 10_000] * 100, b"\r\n\r\n")),
    bad("size: a name of 100 KB", "resource bound", answer(b"a" * 100_000 + b": b")),
    bad("size: a reason of 1 MB", "resource bound",
        answer(first=b"HTTP/1.1 200 " + b"a" * 1_000_000)),
    bad("size: a status line that never ends", "resource bound", b"HTTP/1.1 200 " + b"a" * 70_000),
    bad("size: nearly matching, to make a pattern slow", "CWE-1333",
        _START + b"a:b\r\n" * 12_000 + b"a" * 4_000 + b"\r\n\r\n"),
    bad("size: nothing but spaces", "CWE-1333", answer(b"A:" + b" " * 60_000 + b"\0")),
    good("size: a value of nothing but spaces", f"{RFC9110} 5.5",
         answer(b"A:" + b" " * 60_000), has=(b"a: ",)),
]  # fmt: skip
