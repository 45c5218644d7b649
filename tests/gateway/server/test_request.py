"""Heads as callers send them: taken whole, or refused for a reason."""

import pytest

from gateway.server.request import MAX_HEAD_BYTES, BadRequest, read_head, refuse_partial

HOST = b"Host: gateway.test\r\n"


def head(line: bytes = b"GET / HTTP/1.1", *fields: bytes, host: bytes = HOST) -> bytes:
    return line + b"\r\n" + host + b"".join(f + b"\r\n" for f in fields) + b"\r\n"


def test_a_head_is_read_as_it_was_written() -> None:
    read = read_head(head(b"PATCH /a%2Fb/../c//d?x=%00&y HTTP/1.1", b"X-A:  1 ", b"x-a: 2"))
    assert (read.method, read.path, read.query) == ("PATCH", b"/a%2Fb/../c//d", b"x=%00&y")
    assert read.fields == ((b"host", b"gateway.test"), (b"x-a", b"1"), (b"x-a", b"2"))
    assert (read.length, read.keeps, read.expects, read.upgrade) == (0, True, False, b"")


def test_an_absolute_target_of_this_host_is_a_path() -> None:
    assert read_head(head(b"GET http://Gateway.test/x?y HTTP/1.1")).path == b"/x"
    assert read_head(head(b"GET http://gateway.test?y HTTP/1.1")).query == b"y"


@pytest.mark.parametrize(
    ("fields", "keeps"),
    [((), True), ((b"Connection: close",), False), ((b"Connection: x, Close",), False)],
)
def test_a_connection_is_kept_unless_told(fields: tuple[bytes, ...], keeps: bool) -> None:
    assert read_head(head(b"GET / HTTP/1.1", *fields)).keeps is keeps


def test_http_1_0_needs_no_host_and_closes() -> None:
    read = read_head(b"GET / HTTP/1.0\r\n\r\n")
    assert (read.host, read.keeps, read.is_http10) == (b"", False, True)
    assert read_head(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").keeps


def test_what_tells_a_body() -> None:
    assert read_head(head(b"POST / HTTP/1.1", b"Content-Length: 12")).length == 12
    assert read_head(head(b"POST / HTTP/1.1", b"Transfer-Encoding: Chunked")).length is None
    read = read_head(head(b"POST / HTTP/1.1", b"Content-Length: 1", b"Expect: 100-Continue"))
    assert read.expects


def test_an_upgrade_needs_both_headers() -> None:
    asked = (b"Connection: keep-alive, Upgrade", b"Upgrade: WebSocket")
    assert read_head(head(b"GET / HTTP/1.1", *asked)).upgrade == b"websocket"
    assert read_head(head(b"GET / HTTP/1.1", asked[1])).upgrade == b""


LINES = {
    "lower-case version": (b"GET / http/1.1", 400),
    "two spaces": (b"GET  / HTTP/1.1", 400),
    "tab": (b"GET\t/ HTTP/1.1", 400),
    "space at the end": (b"GET / HTTP/1.1 ", 400),
    "no version": (b"GET /", 400),
    "1.2": (b"GET / HTTP/1.2", 505),
    "2.0": (b"GET / HTTP/2.0", 505),
    "1.10": (b"GET / HTTP/1.10", 400),
    "space in the target": (b"GET /a b HTTP/1.1", 400),
    "raw bytes in the target": (b"GET /\xc3\xa4 HTTP/1.1", 400),
    "NUL in the target": (b"GET /\x00 HTTP/1.1", 400),
    "bare CR in the target": (b"GET /\r HTTP/1.1", 400),
    "fragment": (b"GET /#x HTTP/1.1", 400),
    "asterisk": (b"OPTIONS * HTTP/1.1", 400),
    "authority": (b"GET gateway.test:80 HTTP/1.1", 400),
    "another host's URL": (b"GET http://other.test/ HTTP/1.1", 400),
    "another host behind an at sign": (b"GET http://gateway.test@other/ HTTP/1.1", 400),
    "user in the URL": (b"GET http://a@gateway.test/ HTTP/1.1", 400),
    "method with a colon": (b"GE:T / HTTP/1.1", 400),
    "long method": (b"G" * 33 + b" / HTTP/1.1", 400),
    "CONNECT": (b"CONNECT gateway.test:443 HTTP/1.1", 501),
}


@pytest.mark.parametrize("name", LINES)
def test_a_bad_request_line_is_refused(name: str) -> None:
    line, status = LINES[name]
    with pytest.raises(BadRequest) as caught:
        read_head(head(line))
    assert caught.value.status == status


FIELDS = {
    "space before the colon": b"X-A : 1",
    "space before the name": b" X-A: 1",
    "folded": b"X-A: 1\r\n 2",
    "folded with a tab": b"X-A: 1\r\n\t2",
    "no colon": b"X-A",
    "no name": b": 1",
    "bare LF": b"X-A: 1\nX-B: 2",
    "bare CR": b"X-A: 1\rX-B: 2",
    "NUL": b"X-A: 1\x002",
    "DEL": b"X-A: 1\x7f",
    "bytes in a name": b"X-\xc3: 1",
    "brackets in a name": b"X[A]: 1",
    "two hosts": b"Host: other.test",
    "both lengths": b"Content-Length: 3\r\nTransfer-Encoding: chunked",
    "two lengths": b"Content-Length: 3\r\nContent-Length: 3",
    "list of lengths": b"Content-Length: 3, 3",
    "signed length": b"Content-Length: +3",
    "negative length": b"Content-Length: -3",
    "hexadecimal length": b"Content-Length: 0x3",
    "length with a space": b"Content-Length: 3 0",
    "empty length": b"Content-Length:",
    "endless length": b"Content-Length: " + b"9" * 16,
    "digits of another script": "Content-Length: ٣".encode(),
    "two codings": b"Transfer-Encoding: gzip, chunked",
    "chunked twice": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    "identity": b"Transfer-Encoding: identity",
    "chunked and a letter": b"Transfer-Encoding: xchunked",
    "chunked in quotes": b'Transfer-Encoding: "chunked"',
    "vertical tab": b"Transfer-Encoding: \x0bchunked",
}


@pytest.mark.parametrize("name", FIELDS)
def test_a_bad_field_is_refused(name: str) -> None:
    with pytest.raises(BadRequest) as caught:
        read_head(head(b"POST / HTTP/1.1", FIELDS[name]))
    assert caught.value.status == 400


@pytest.mark.parametrize("host", [b"", b"Host:\r\n", b"Host: a b\r\n", b"Host: a/b\r\n",
                                  b"Host: a@b\r\n", b"Host: a:b:c\r\n"])  # fmt: skip
def test_a_bad_host_is_refused(host: bytes) -> None:
    with pytest.raises(BadRequest) as caught:
        read_head(head(host=host))
    assert caught.value.status == 400


def test_http_1_0_sends_no_chunks() -> None:
    with pytest.raises(BadRequest):
        read_head(head(b"POST / HTTP/1.0", b"Transfer-Encoding: chunked"))


def test_an_unknown_expectation_is_417() -> None:
    with pytest.raises(BadRequest) as caught:
        read_head(head(b"POST / HTTP/1.1", b"Expect: 200-ok"))
    assert caught.value.status == 417


def test_too_many_fields_are_431() -> None:
    with pytest.raises(BadRequest) as caught:
        read_head(head(b"GET / HTTP/1.1", *[b"a: b"] * 100))
    assert caught.value.status == 431


@pytest.mark.parametrize(
    ("start", "status"),
    [(b"x" * (MAX_HEAD_BYTES + 1), 431), (b"GET / HTTP/1.1\n\n", 400), (b"\r\n", 400),
     (b"\x16\x03\x01\x02\x00", 400)],
)  # fmt: skip
def test_what_cannot_become_a_head_is_refused_before_its_end(start: bytes, status: int) -> None:
    with pytest.raises(BadRequest) as caught:
        refuse_partial(start)
    assert caught.value.status == status
