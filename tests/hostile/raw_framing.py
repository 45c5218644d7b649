"""Raw requests whose length can be read in several ways, and chunks. Data only."""

from tests.hostile.raw_rows import CHUNKED, JSON5, RFC9110, RFC9112, SMUGGLED, head, post, row

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
        row(f"both: {name}", f"{RFC9112} 6.1; CVE-2019-18860", post(one, other, body=body), 400)
        for name, one, other, body in _BOTH
    ),
    *(
        row(f"coding: {name}", f"{RFC9112} 6.1, 7", post(line, body=JSON5), status)
        for name, line, status in _CODINGS
    ),
    *(
        row(
            f"length: {name}",
            f"{RFC9110} 8.6; CVE-2022-24766",
            post(b"Content-Length: " + text, body=b"hello"),
            400,
        )
        for name, text in _LENGTHS
    ),
    row(
        "length: two lines that agree",
        f"{RFC9112} 6.3",
        post(b"Content-Length: 5", b"Content-Length: 5", body=b"hello"),
        400,
    ),
    row(
        "length: two lines that differ",
        f"{RFC9112} 6.3; CVE-2020-11724",
        post(b"Content-Length: 0", b"Content-Length: 5", body=b"hello"),
        400,
    ),
    row(
        "length: a space before the colon",
        f"{RFC9112} 5.1; CVE-2019-16276",
        post(b"Content-Length : 5", body=b"hello"),
        400,
    ),
    row(
        "length: zeros before it",
        f"{RFC9110} 8.6",
        post(b"Content-Length: 0005", body=b"hello"),
        200,
        sees=(b"hello",),
    ),
    row(
        "length: white space around it",
        f"{RFC9110} 5.5",
        post(b"Content-Length: \t5 ", body=b"hello"),
        200,
        sees=(b"hello",),
    ),
    row(
        "length: of a GET",
        f"{RFC9110} 9.3.1",
        head(b"Content-Length: 5") + b"hello",
        200,
        sees=(b"hello",),
    ),
    row(
        "length: over the cap",
        f"{RFC9110} 15.5.14",
        post(b"Content-Length: 10485761"),
        413,
        end="either",
    ),
    row(
        "coding: in capitals",
        f"{RFC9112} 7",
        post(b"TRANSFER-ENCODING: CHUNKED", body=JSON5),
        200,
        sees=(b"5\r\nhello\r\n", b"transfer-encoding: chunked"),
    ),
    row(
        "coding: of a 1.0 request",
        f"{RFC9112} 6.1",
        head(CHUNKED, method=b"POST", version=b"HTTP/1.0") + JSON5,
        400,
    ),
    row(
        "an underscore for the hyphen of a length",
        "CVE-2023-25690; CGI names, RFC 3875 4.1.18",
        head(b"Content_Length: 5"),
        200,
    ),
    row(
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
        row(f"chunk: {name}", f"{RFC9112} 7.1", post(CHUNKED, body=body), 200, sees=(seen,))
        for name, body, seen in _CHUNKS_GOOD
    ),
    *(
        row(f"chunk: {name}", f"{RFC9112} 7.1; CVE-2024-23829", post(CHUNKED, body=body), 400)
        for name, body in _CHUNKS_BAD
    ),
    *(
        row(
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
        row(
            f"trailer: {name}",
            f"{RFC9112} 7.1.2",
            post(CHUNKED, body=b"5\r\nhello\r\n0\r\n" + line + b"\r\n"),
            400,
        )
        for name, line in _TRAILERS_BAD
    ),
]
