"""Answers whose length can be read in several ways, or that end as they should not. Data only."""

from gateway.store.call_settings import CallSettings, StreamSettings
from tests.hostile.raw_answer_rows import (
    HEAD,
    RFC9110,
    RFC9112,
    AnswerRow,
    Cue,
    Reads,
    Then,
    answer,
    bad,
    broken,
    chunks,
    good,
)
from tests.hostile.raw_rows import head, post

CHUNKED = b"Transfer-Encoding: chunked"
_OK = b"2\r\nok\r\n0\r\n\r\n"
_EVIL = b"4\r\nevil\r\n0\r\n\r\n"

# --- lengths

_LENGTHS = [
    ("a plus", b"+4"),
    ("a minus", b"-4"),
    ("hexadecimal", b"0x4"),
    ("an exponent", b"4e0"),
    ("a point", b"4.0"),
    ("an underscore", b"0_4"),
    ("a space inside", b"0 4"),
    ("a list of equals", b"4, 4"),
    ("a list of others", b"4, 5"),
    ("a comma behind", b"4,"),
    ("an empty value", b""),
    ("a word", b"four"),
    ("quotes", b'"4"'),
    ("digits of Arabic", "٤".encode()),
    ("more than 64 bits", b"18446744073709551620"),
    ("4300 digits", b"9" * 4300),
    ("a hundred zeros before it", b"0" * 100 + b"4"),
]


def _told(*lines: bytes, body: bytes = b"evil") -> bytes:
    return answer(*lines, body=body, length=False)


LENGTHS = [
    *(
        bad(f"length: {name}", f"{RFC9110} 8.6", _told(b"Content-Length: " + text))
        for name, text in _LENGTHS
    ),
    bad("length: two lines that agree", f"{RFC9112} 6.3", _told(*[b"Content-Length: 4"] * 2)),
    bad("length: two lines that differ", f"{RFC9112} 6.3",
        _told(b"Content-Length: 4", b"Content-Length: 0")),
    bad("length: none", f"{RFC9112} 6.3", _told()),
    bad("length: none, and the connection closes", f"{RFC9112} 6.3", _told(), then=Then.CLOSES),
    bad("length: none, to HTTP/1.0 with keep-alive", f"{RFC9112} 6.3",
        _told(b"Connection: keep-alive")),
    bad("length: with an underscore is none", "CGI names", _told(b"Content_Length: 4")),
    bad("length: zero, and a body", f"{RFC9112} 6.3", _told(b"Content-Length: 0")),
    good("length: white space around it", f"{RFC9110} 5.5",
         _told(b"Content-Length: \t2 ", body=b"ok"), has=(b"content-length: 2",)),
    good("length: named in Connection it stays", "CVE-2022-1388",
         answer(b"Connection: content-length"), has=(b"content-length: 2",)),
    bad("length: and chunks (CL.TE)", f"{RFC9112} 6.1",
        _told(b"Content-Length: 4", CHUNKED, body=_EVIL)),
    bad("length: chunks, then a length (TE.CL)", f"{RFC9112} 6.1",
        _told(CHUNKED, b"Content-Length: 4", body=_EVIL)),
    bad("length: zero and chunks", f"{RFC9112} 6.1",
        _told(b"Content-Length: 0", CHUNKED, body=_EVIL)),
]  # fmt: skip

# --- codings

_CODINGS = [
    ("gzip", b"gzip"),
    ("identity", b"identity"),
    ("gzip, chunked", b"gzip, chunked"),
    ("chunked, gzip", b"chunked, gzip"),
    ("chunked, identity", b"chunked, identity"),
    ("chunked, chunked", b"chunked, chunked"),
    ("xchunked", b"xchunked"),
    ("chunked with a parameter", b"chunked;q=1"),
    ("a quoted chunked", b'"chunked"'),
    ("a comma before", b", chunked"),
    ("a comma behind", b"chunked,"),
    ("a high byte behind", b"chunked\xa0"),
    ("an empty one", b""),
]
CODINGS = [
    *(
        bad(f"coding: {name}", f"{RFC9112} 6.1, 7",
            _told(b"Transfer-Encoding: " + text, body=_EVIL))
        for name, text in _CODINGS
    ),
    bad("coding: chunked twice", f"{RFC9112} 7.1", _told(CHUNKED, CHUNKED, body=_EVIL)),
    bad("coding: chunked, and a line of another", f"{RFC9112} 6.1",
        _told(CHUNKED, b"Transfer-Encoding: cow", body=_EVIL)),
    good("coding: in capitals", f"{RFC9112} 7", _told(b"TRANSFER-ENCODING: CHUNKED", body=_OK)),
    bad("coding: with an underscore is none", "CGI names",
        _told(b"Transfer_Encoding: chunked", body=_EVIL)),
    good("coding: named in Connection it holds", "CVE-2022-1388",
         chunks(_OK, b"Connection: transfer-encoding")),
]  # fmt: skip

# --- chunks

_INNER = answer(body=b"in")
_CHUNKS_BAD = [
    ("a word", b"four\r\nevil\r\n0\r\n\r\n"),
    ("0x", b"0x4\r\nevil\r\n0\r\n\r\n"),
    ("a plus", b"+4\r\nevil\r\n0\r\n\r\n"),
    ("a minus", b"-4\r\nevil\r\n0\r\n\r\n"),
    ("an underscore", b"0_4\r\nevil\r\n0\r\n\r\n"),
    ("a space before", b" 4\r\nevil\r\n0\r\n\r\n"),
    ("a space behind", b"4 \r\nevil\r\n0\r\n\r\n"),
    ("an empty size", b"\r\nevil\r\n0\r\n\r\n"),
    ("only an extension", b";a=b\r\nevil\r\n0\r\n\r\n"),
    ("more than 64 bits", b"10000000000000004\r\nevil\r\n0\r\n\r\n"),
    ("2**68", b"f" * 17 + b"\r\nevil\r\n"),
    ("a size ended by LF", b"4\nevil\r\n0\r\n\r\n"),
    ("a size ended by CR", b"4\revil\r\n0\r\n\r\n"),
    ("a LF in the extension", b"4;a\nevil\r\n0\r\n\r\n"),
    ("a CR in the extension", b"4;a\rb\r\nevil\r\n0\r\n\r\n"),
    ("a NUL in the extension", b"4;a\0\r\nevil\r\n0\r\n\r\n"),
    ("no CRLF behind the data", b"4\r\nevil0\r\n\r\n"),
    ("LF behind the data", b"4\r\nevil\n0\r\n\r\n"),
    ("two bytes of something behind the data", b"4\r\nevilXX0\r\n\r\n"),
    ("a size too small", b"3\r\nevil\r\n0\r\n\r\n"),
    ("a last chunk ended by LF", b"4\r\nevil\r\n0\n\n"),
    ("a megabyte of zeros before the size", b"0" * 1_000_000 + b"4\r\nevil\r\n0\r\n\r\n"),
    ("an extension of 1 MB", b"4;" + b"e" * 1_000_000 + b"\r\nevil\r\n0\r\n\r\n"),
]
_CHUNKS_GOOD = [
    ("in capitals", b"A\r\n0123456789\r\n0\r\n\r\n", b"0123456789"),
    ("zeros before the size", b"0002\r\nok\r\n0\r\n\r\n", b"ok"),
    ("an extension", b"2;evil=evil\r\nok\r\n0\r\n\r\n", b"ok"),
    ("a quoted extension", b'2;a="evil;c"\r\nok\r\n0\r\n\r\n', b"ok"),
    ("an extension of 60 KB", b"2;" + b"evil" * 15_000 + b"\r\nok\r\n0\r\n\r\n", b"ok"),
    ("several zeros at the end", b"2\r\nok\r\n000\r\n\r\n", b"ok"),
    ("no data at all", b"0\r\n\r\n", b""),
    ("one that holds an answer", b"%x\r\n%b\r\n0\r\n\r\n" % (len(_INNER), _INNER), _INNER),
]
CHUNKS = [
    *(bad(f"chunk: {name}", f"{RFC9112} 7.1", chunks(body)) for name, body in _CHUNKS_BAD),
    *(
        good(f"chunk: {name}", f"{RFC9112} 7.1", chunks(framed), body=body)
        for name, framed, body in _CHUNKS_GOOD
    ),
    good("chunk: thousands of one byte", f"{RFC9112} 7.1",
         chunks(b"1\r\nx\r\n" * 5000 + b"0\r\n\r\n"), body=b"x" * 5000),
    broken("chunk: a bad one behind a good one", f"{RFC9112} 7.1",
           (chunks(b"2\r\nok\r\n"), Cue.HEAD_SEEN, b"evil\r\n"), body=b"ok"),
    broken("chunk: 2**64-1 and a few bytes", f"{RFC9112} 7.1; CVE-2013-2028",
           (chunks(b"f" * 16 + b"\r\nok"), Cue.HEAD_SEEN),
           body=b"ok", code="api_died", then=Then.CLOSES),
    broken("chunk: an endless extension behind a good one", "resource bound",
           (chunks(b"2\r\nok\r\n"), Cue.HEAD_SEEN, b"2;", *[b"evil" * 2000] * 10), body=b"ok"),
]  # fmt: skip

# --- trailers

_TRAILERS_DROPPED = [
    ("a field", b"X-Sum: evil"),
    ("a cookie", b"Set-Cookie: evil=1"),
    ("a coding", b"Transfer-Encoding: gzip"),
    ("a field of the gateway", b"X-Request-ID: evil"),
    ("an address", b"Location: //evil"),
    ("Connection", b"Connection: close"),
    ("an upgrade", b"Connection: upgrade\r\nUpgrade: evil"),
    ("a content type", b"Content-Type: evil/evil"),
]
_TRAILERS_BAD = [
    ("a length", b"Content-Length: 4"),
    ("a folded field", b"X: a\r\n evil"),
    ("a space before the colon", b"X : evil"),
    ("no colon", b"evil"),
    ("a bare LF", b"X: a\nevil"),
    ("a NUL", b"X: \0evil"),
]
_TRAILERS_LONG = [
    ("1 MB", b"X: " + b"evil" * 250_000),
    ("100 000 fields", b"X: evil\r\n" * 100_000),
]
TRAILERS = [
    *(
        good(f"trailer: {name}", f"{RFC9110} 6.5.1",
             chunks(b"2\r\nok\r\n0\r\n" + line + b"\r\n\r\n", b"Trailer: x"),
             lacks=(b"evil", b"trailer:"))
        for name, line in _TRAILERS_DROPPED
    ),
    *(
        bad(f"trailer: {name}", f"{RFC9112} 7.1.2",
            chunks(b"2\r\nok\r\n0\r\n" + line + b"\r\n\r\n"))
        for name, line in _TRAILERS_BAD
    ),
    *(
        broken(f"trailer: {name}", "resource bound",
               (chunks(b"2\r\nok\r\n"), Cue.HEAD_SEEN, b"0\r\n" + line), body=b"ok")
        for name, line in _TRAILERS_LONG
    ),
]  # fmt: skip

# --- answers that have no body

_204 = b"HTTP/1.1 204 No Content"
_304 = b"HTTP/1.1 304 Not Modified"


def _bodiless(first: bytes, *lines: bytes, body: bytes = b"") -> bytes:
    return answer(*lines, first=first, body=body, length=False)


BODILESS = [
    good("none: 204", f"{RFC9110} 15.3.5", _bodiless(_204), status=204, body=b""),
    good("none: 204 with a length", f"{RFC9110} 8.6", _bodiless(_204, b"Content-Length: 9"),
         status=204, body=b"", lacks=(b"content-length",)),
    good("none: 204 with a coding", f"{RFC9112} 6.1", _bodiless(_204, CHUNKED),
         status=204, body=b"", lacks=(b"transfer-encoding",)),
    bad("none: 204 with a body", f"{RFC9112} 6.3", _bodiless(_204, body=b"evil")),
    bad("none: 204 with a length and its body", f"{RFC9112} 6.3",
        _bodiless(_204, b"Content-Length: 4", body=b"evil")),
    bad("none: 204 with chunks", f"{RFC9112} 6.3", _bodiless(_204, CHUNKED, body=_EVIL)),
    good("none: 204, its body later", f"{RFC9112} 6.3",
         (_bodiless(_204), Cue.ANSWER_SEEN, b"evil"), status=204, body=b"", upstream="dropped"),
    good("none: 304 with a length", f"{RFC9110} 15.4.5", _bodiless(_304, b"Content-Length: 9"),
         status=304, body=b""),
    bad("none: 304 with a body", f"{RFC9112} 6.3",
        _bodiless(_304, b"Content-Length: 4", body=b"evil")),
    good("none: HEAD keeps its length", f"{RFC9110} 9.3.2",
         _bodiless(b"HTTP/1.1 200 OK", b"Content-Length: 9"),
         asked=HEAD, body=b"", has=(b"content-length: 9",)),
    good("none: HEAD of chunks", f"{RFC9110} 9.3.2", _bodiless(b"HTTP/1.1 200 OK", CHUNKED),
         asked=HEAD, body=b""),
    good("none: HEAD without a length", f"{RFC9110} 9.3.2", _bodiless(b"HTTP/1.1 200 OK"),
         asked=HEAD, body=b""),
    good("none: HEAD answered with 204 and a length", f"{RFC9110} 8.6",
         _bodiless(_204, b"Content-Length: 9"), asked=HEAD, status=204, body=b"",
         lacks=(b"content-length",)),
    bad("none: HEAD with a body", f"{RFC9112} 6.3", answer(body=b"evil"), asked=HEAD),
    bad("none: HEAD with chunks", f"{RFC9112} 6.3", chunks(_EVIL), asked=HEAD),
    bad("none: HEAD with two lengths", f"{RFC9112} 6.3",
        _bodiless(b"HTTP/1.1 200 OK", b"Content-Length: 4, 4"), asked=HEAD),
    good("none: HEAD, its body later", f"{RFC9112} 6.3",
         (_bodiless(b"HTTP/1.1 200 OK", b"Content-Length: 4"), Cue.ANSWER_SEEN, b"evil"),
         asked=HEAD, body=b"", upstream="dropped"),
    good("none: 205 with a length of zero", f"{RFC9110} 15.3.6",
         answer(first=b"HTTP/1.1 205 Reset", body=b""), status=205, body=b""),
]  # fmt: skip

# --- more than one answer

SEVERAL = [
    bad("several: two at once", "response splitting", answer(body=b"evil") + answer(body=b"evil")),
    bad("several: chunks, then another", "response splitting", chunks(_EVIL) + answer()),
    bad("several: a byte behind the body", f"{RFC9112} 6.3", answer() + b"x"),
    bad("several: CRLF behind the body", f"{RFC9112} 2.2", answer() + b"\r\n"),
    bad("several: a byte behind the last chunk", f"{RFC9112} 7.1", chunks(_OK) + b"x"),
    bad("several: 204, then another", "response splitting", _bodiless(_204) + answer(body=b"evil")),
    good("several: the second when the first was read", "response queue poisoning",
         (answer(), Cue.ANSWER_SEEN, answer(body=b"evil")), upstream="dropped"),
    good("several: half of a second when the first was read", "response queue poisoning",
         (answer(), Cue.ANSWER_SEEN, b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n"),
         upstream="dropped"),
    good("several: an interim answer when the first was read", "response queue poisoning",
         (answer(), Cue.ANSWER_SEEN, b"HTTP/1.1 100 evil\r\n\r\n"), upstream="dropped"),
    broken("several: a byte too much when the caller has the head", f"{RFC9112} 6.3",
           (b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nok", Cue.HEAD_SEEN, b"evil"), body=b"ok"),
    broken("several: another behind the last chunk", "response splitting",
           (chunks(b"2\r\nok\r\n"), Cue.HEAD_SEEN, b"0\r\n\r\n" + answer(body=b"evil")),
           body=b"ok"),
    good("several: an answer in the body of one", "response splitting",
         answer(body=answer(body=b"in")), body=answer(body=b"in")),
]  # fmt: skip

# --- ends

_HALF = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nok"
_UPLOAD = post(b"Content-Length: 1000000", body=b"a part")
_POST = post(b"Content-Length: 2", body=b"hi")
_OLD = head(version=b"HTTP/1.0")
_DIED = {"code": "api_died"}
ENDS = [
    bad("end: at once", "RFC 9110 9.2.2", (), then=Then.CLOSES, **_DIED),
    bad("end: half close at once", "RFC 9110 9.2.2", (), then=Then.HALF_CLOSES, **_DIED),
    bad("end: in the status line", f"{RFC9112} 8", b"HTTP/1.1 200 evil", then=Then.CLOSES, **_DIED),
    bad("end: in the fields", f"{RFC9112} 8", b"HTTP/1.1 200 OK\r\nX: evil\r\n",
        then=Then.CLOSES, **_DIED),
    AnswerRow("end: reset, the call unread", "RFC 9110 9.2.2", (), 200, then=Then.CLOSES,
              reads=Reads.NOTHING, upstream="dropped"),
    AnswerRow("end: reset, the POST unread", "RFC 9110 9.2.2", (), 200, then=Then.CLOSES,
              reads=Reads.NOTHING, upstream="dropped", asked=_POST),
    bad("end: reset behind half a head", f"{RFC9112} 8", b"HTTP/1.1 200 evil",
        then=Then.CLOSES, reads=Reads.NOTHING, **_DIED),
    broken("end: a body shorter than its length", f"{RFC9112} 8", (_HALF, Cue.HEAD_SEEN),
           body=b"ok", then=Then.CLOSES, **_DIED),
    broken("end: half close within a body", f"{RFC9112} 8", (_HALF, Cue.HEAD_SEEN),
           body=b"ok", then=Then.HALF_CLOSES, **_DIED),
    broken("end: reset within a body", f"{RFC9112} 8", (_HALF, Cue.HEAD_SEEN),
           body=b"ok", then=Then.CLOSES, reads=Reads.NOTHING, **_DIED),
    broken("end: chunks without a last one", f"{RFC9112} 8",
           (chunks(b"2\r\nok\r\n"), Cue.HEAD_SEEN), body=b"ok", then=Then.CLOSES, **_DIED),
    broken("end: chunks without a last one, to a caller of HTTP/1.0", f"{RFC9112} 8",
           (chunks(b"2\r\nok\r\n"), Cue.HEAD_SEEN), asked=_OLD, then=Then.CLOSES, **_DIED),
    good("end: chunks, to a caller of HTTP/1.0", f"{RFC9112} 6.1", chunks(_OK), asked=_OLD,
         caller="ends", lacks=(b"transfer-encoding",)),
    broken("end: a chunk shorter than its size", f"{RFC9112} 8",
           (chunks(b"9\r\nok"), Cue.HEAD_SEEN), body=b"ok", then=Then.CLOSES, **_DIED),
    broken("end: a last chunk without its CRLF", f"{RFC9112} 8",
           (chunks(b"2\r\nok\r\n0\r\n"), Cue.HEAD_SEEN), body=b"ok", then=Then.CLOSES, **_DIED),
    broken("end: within a trailer", f"{RFC9112} 8",
           (chunks(b"2\r\nok\r\n0\r\nX: evil"), Cue.HEAD_SEEN),
           body=b"ok", then=Then.CLOSES, **_DIED),
    broken("end: a length of fifteen digits and two bytes", f"{RFC9112} 8",
           (b"HTTP/1.1 200 OK\r\ncontent-length: 999999999999999\r\n\r\nok", Cue.HEAD_SEEN),
           body=b"ok", then=Then.CLOSES, **_DIED),
    good("end: behind a whole answer", f"{RFC9112} 9.6", answer(),
         then=Then.CLOSES, upstream="dropped"),
    good("end: half close behind a whole answer", f"{RFC9112} 9.6", answer(),
         then=Then.HALF_CLOSES, upstream="dropped"),
    good("end: Connection: close, and then nothing", f"{RFC9112} 9.6",
         answer(b"Connection: close"), upstream="dropped", lacks=(b"\r\nconnection:",)),
    good("early: an answer before the call was read", f"{RFC9112} 7.5", answer(),
         reads=Reads.NOTHING),
    good("early: before the end of an upload", f"{RFC9110} 10.1.1",
         answer(first=b"HTTP/1.1 422 No"), status=422, reads=Reads.HEAD, asked=_UPLOAD,
         upstream="dropped", caller="ends", has=(b"connection: close",)),
]  # fmt: skip

# --- slow ones that come to an end

_WHOLE = answer(b"X-A: 1", body=b"slowly")
PIECES = [
    good("slow: a head byte by byte", f"{RFC9112} 2.1",
         tuple(bytes((each,)) for each in _WHOLE), body=b"slowly", has=(b"x-a: 1",)),
    good("slow: chunks byte by byte", f"{RFC9112} 2.1",
         tuple(bytes((each,)) for each in chunks(_OK))),
    good("slow: cut within the end of the head", f"{RFC9112} 2.1",
         (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r", b"\nok")),
]  # fmt: skip

# --- slow ones that do not; a call has half a second, an answer that has begun one between pieces

_SECOND = CallSettings(streams=StreamSettings(idle_seconds=1))
_LATE = {"status": 504, "code": "api_timeout"}
SLOW = [
    bad("slow: nothing at all", "slowloris", (), **_LATE),
    bad("slow: half a status line", "slowloris", b"HTTP/1.1 2", **_LATE),
    bad("slow: a head that never ends", "slowloris", b"HTTP/1.1 200 OK\r\nX: evil\r\n", **_LATE),
    bad("slow: a head that drips", "slowloris", b"HTTP/1.1 200 OK\r\n", then=Then.DRIPS, **_LATE),
    bad("slow: an interim answer and silence", "slowloris", b"HTTP/1.1 100 evil\r\n\r\n", **_LATE),
    broken("slow: a body that stops", "slowloris", (_HALF,),
           body=b"ok", code="api_timeout", settings=_SECOND),
    broken("slow: chunks that stop", "slowloris", (chunks(b"2\r\nok\r\n"),),
           body=b"ok", code="api_timeout", settings=_SECOND),
]  # fmt: skip
