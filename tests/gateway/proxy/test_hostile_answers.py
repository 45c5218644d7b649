"""Whatever a sandbox sends is hostile: raw answers over a real socket, and the verdict on each."""

import asyncio

import pytest

from gateway.proxy.connection import MAX_INTERIM
from tests.support.datapath import DataPath
from tests.support.rawhttp import ok, read_request, replies

BAD = {
    "garbage": b"hello\r\n\r\n",
    "HTTP/0.9": b"<html></html>",
    "HTTP/1.0": b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok",
    "HTTP/2": b"HTTP/2 200 OK\r\ncontent-length: 2\r\n\r\nok",
    "lower case protocol": b"http/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
    "status of two digits": b"HTTP/1.1 20 OK\r\ncontent-length: 2\r\n\r\nok",
    "status of four digits": b"HTTP/1.1 2000 OK\r\ncontent-length: 2\r\n\r\nok",
    "status 099": b"HTTP/1.1 099 OK\r\ncontent-length: 2\r\n\r\nok",
    "status 600": b"HTTP/1.1 600 OK\r\ncontent-length: 2\r\n\r\nok",
    "status in letters": b"HTTP/1.1 abc OK\r\ncontent-length: 2\r\n\r\nok",
    "no space after the status": b"HTTP/1.1 200\r\ncontent-length: 2\r\n\r\nok",
    "two spaces before the status": b"HTTP/1.1  200 OK\r\ncontent-length: 2\r\n\r\nok",
    "line feeds alone": b"HTTP/1.1 200 OK\ncontent-length: 2\n\nok",
    "one line feed alone": b"HTTP/1.1 200 OK\r\na: b\ncontent-length: 2\r\n\r\nok",
    "carriage return alone": b"HTTP/1.1 200 OK\r\na: b\rc\r\ncontent-length: 2\r\n\r\nok",
    "NUL in a value": b"HTTP/1.1 200 OK\r\na: b\0c\r\ncontent-length: 2\r\n\r\nok",
    "NUL in the reason": b"HTTP/1.1 200 O\0K\r\ncontent-length: 2\r\n\r\nok",
    "control character in a value": b"HTTP/1.1 200 OK\r\na: \x01\r\ncontent-length: 2\r\n\r\nok",
    "DEL in a value": b"HTTP/1.1 200 OK\r\na: \x7f\r\ncontent-length: 2\r\n\r\nok",
    "folded header": b"HTTP/1.1 200 OK\r\na: b\r\n c\r\ncontent-length: 2\r\n\r\nok",
    "folded first line": b"HTTP/1.1 200 OK\r\n a: b\r\ncontent-length: 2\r\n\r\nok",
    "space before the colon": b"HTTP/1.1 200 OK\r\ncontent-length : 2\r\n\r\nok",
    "no colon": b"HTTP/1.1 200 OK\r\ncontent-length\r\n\r\nok",
    "empty name": b"HTTP/1.1 200 OK\r\n: x\r\ncontent-length: 2\r\n\r\nok",
    "name that is not ASCII": b"HTTP/1.1 200 OK\r\nn\xc3\xa4me: x\r\ncontent-length: 2\r\n\r\nok",
    "no length at all": b"HTTP/1.1 200 OK\r\n\r\nok",
    "length and chunks": b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n"
    b"transfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok",
    "the same length twice": b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\nok",
    "list of lengths": b"HTTP/1.1 200 OK\r\ncontent-length: 2, 2\r\n\r\nok",
    "negative length": b"HTTP/1.1 200 OK\r\ncontent-length: -2\r\n\r\nok",
    "signed length": b"HTTP/1.1 200 OK\r\ncontent-length: +2\r\n\r\nok",
    "length in hexadecimal": b"HTTP/1.1 200 OK\r\ncontent-length: 0x2\r\n\r\nok",
    "empty length": b"HTTP/1.1 200 OK\r\ncontent-length: \r\n\r\nok",
    "huge length": b"HTTP/1.1 200 OK\r\ncontent-length: " + b"9" * 30 + b"\r\n\r\nok",
    "gzip, chunked": b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "chunked twice": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n"
    b"transfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "unknown coding": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunkedx\r\n\r\n0\r\n\r\n",
    "second answer glued on": ok() + ok(b"stolen"),
    "bytes after the body": ok() + b"x",
    "body after 204": b"HTTP/1.1 204 No Content\r\n\r\nbody",
    "body after 304": b"HTTP/1.1 304 Not Modified\r\n\r\nbody",
    "unasked 101": b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
    "flood of 1xx": b"HTTP/1.1 103 Early Hints\r\n\r\n" * (MAX_INTERIM + 1) + ok(),
    "malformed 1xx": b"HTTP/1.1 100 Continue\r\nx\r\n\r\n" + ok(),
    "101 headers": b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 101 + b"content-length: 0\r\n\r\n",
    "70 KB of one header": b"HTTP/1.1 200 OK\r\na: " + b"b" * 70_000 + b"\r\n\r\n",
    "70 KB of reason": b"HTTP/1.1 200 " + b"b" * 70_000 + b"\r\n\r\n",
    "chunk size in words": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nfive\r\n",
    "negative chunk": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n-1\r\n",
    "chunk of 2**68 bytes": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    + b"f" * 17
    + b"\r\n",
    "chunk size by line feed": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\nok\n0\n\n",
    "chunk with a prefix": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0x2\r\nok\r\n",
    "chunk with a space": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n 2\r\nok\r\n",
    "chunks and then more": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    b"0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
}
# these break off after the head was passed on
BROKEN = {
    "shorter than its length": b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nshort",
    "chunks without an end": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n",
    "chunk shorter than its size": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nok",
}
GOOD = {
    "reason left out": (b"HTTP/1.1 200 \r\ncontent-length: 2\r\n\r\nok", 200, b"ok"),
    "reason in UTF-8": (b"HTTP/1.1 200 \xc3\xa4\r\ncontent-length: 2\r\n\r\nok", 200, b"ok"),
    "unknown status": (b"HTTP/1.1 299 x\r\ncontent-length: 2\r\n\r\nok", 299, b"ok"),
    "names in capitals": (b"HTTP/1.1 200 OK\r\nCONTENT-LENGTH: 2\r\n\r\nok", 200, b"ok"),
    "no space after the colon": (b"HTTP/1.1 200 OK\r\ncontent-length:2\r\n\r\nok", 200, b"ok"),
    "space after the value": (b"HTTP/1.1 200 OK\r\ncontent-length: 2 \t\r\n\r\nok", 200, b"ok"),
    "100 headers": (
        b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 99 + b"content-length: 0\r\n\r\n",
        200,
        b"",
    ),
    "empty chunks": (b"HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n0\r\n\r\n", 200, b""),
    "chunk extensions and trailers": (
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2;a=b\r\nok\r\n0\r\nx-t: v\r\n\r\n",
        200,
        b"ok",
    ),
    "some 1xx before": (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + ok(),
        200,
        b"ok",
    ),
    "204 with a length": (b"HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\n", 204, b""),
    "304 with a length": (b"HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n", 304, b""),
    "bytes that only look like an answer": (ok(ok(b"inner")), 200, ok(b"inner")),
}


@pytest.mark.parametrize("raw", BAD.values(), ids=BAD)
async def test_a_malformed_answer_is_502_and_the_connection_dies(
    path: DataPath, raw: bytes
) -> None:
    """The next call goes over another connection and gets its own answer."""
    connections = 0

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await replies(raw if connections == 1 else ok(b"mine"), ok(b"second"))(reader, writer)

    route, key = path.serve(handle)
    answer = await path.call(f"/{route.api_id}", key)
    assert (answer.status, answer.json()["code"]) == (502, "api_bad_response")
    answer = await path.call(f"/{route.api_id}", key)
    assert (answer.status, answer.body) == (200, b"mine")
    codes = [record["error_code"] for record in path.records()]
    assert codes == ["api_bad_response", None]


@pytest.mark.parametrize("raw", BROKEN.values(), ids=BROKEN)
async def test_an_answer_that_breaks_off_never_looks_whole(path: DataPath, raw: bytes) -> None:
    """The caller sees a broken message; the record says that the API died."""
    route, key = path.serve(replies(raw, then_close=True))
    answer = await path.call(f"/{route.api_id}", key)
    assert not answer.is_whole
    (record,) = path.records()
    assert (record["status_code"], record["error_code"]) == (502, "api_died")


@pytest.mark.parametrize(("raw", "status", "body"), GOOD.values(), ids=GOOD)
async def test_a_good_answer_passes(path: DataPath, raw: bytes, status: int, body: bytes) -> None:
    """However unusual; and the connection is used again."""
    connections = 0

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await replies(raw, raw)(reader, writer)

    route, key = path.serve(handle)
    for _ in range(2):
        answer = await path.call(f"/{route.api_id}", key)
        assert (answer.status, answer.body, answer.is_whole) == (status, body, True)
    assert connections == 1


async def test_an_answer_in_single_bytes_is_read(path: DataPath) -> None:
    """Where it is cut does not matter."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        for byte in b"HTTP/1.1 100 x\r\n\r\n" + ok(b"slowly", b"a: b"):
            writer.write(bytes((byte,)))
            await asyncio.sleep(0)

    route, key = path.serve(handle)
    answer = await path.call(f"/{route.api_id}", key)
    assert (answer.status, answer.body, answer.header(b"a")) == (200, b"slowly", b"b")


async def test_an_answer_nobody_asked_for_reaches_nobody(path: DataPath) -> None:
    """Bytes on an idle connection end it; the next call gets its own answer."""
    idle = asyncio.Event()
    poisoned = asyncio.Event()
    connections = 0

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        mine = ok(b"own %d" % connections)
        await read_request(reader)
        writer.write(mine)
        if connections == 1:
            await idle.wait()
            writer.write(ok(b"poison"))
            await writer.drain()
            poisoned.set()
        await reader.read()

    route, key = path.serve(handle)
    assert (await path.call(f"/{route.api_id}", key)).body == b"own 1"
    idle.set()
    await poisoned.wait()
    assert (await path.call(f"/{route.api_id}", key)).body == b"own 2"


async def test_a_body_after_the_answer_to_head_reaches_nobody(path: DataPath) -> None:
    """A HEAD is answered by a head alone; the next call has a new connection."""
    connections = 0

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await replies(ok(b"of connection %d" % connections), ok(b"poison"))(reader, writer)

    route, key = path.serve(handle)
    answer = await path.call(f"/{route.api_id}", key, method="HEAD")
    assert (answer.status, answer.body) == (502, b"")
    assert (await path.call(f"/{route.api_id}", key)).body == b"of connection 2"


async def test_a_sandbox_that_closes_without_an_answer_is_502(path: DataPath) -> None:
    """The call may have been worked on, so it is not sent again."""
    calls = 0

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal calls
        await read_request(reader)
        calls += 1

    route, key = path.serve(handle)
    answer = await path.call(f"/{route.api_id}", key)
    assert (answer.status, answer.json()["code"]) == (502, "api_died")
    assert calls == 1


@pytest.mark.parametrize(
    "flood",
    [b"2;" + b"e" * 200_000, b"0\r\nx: " + b"t" * 200_000],
    ids=["endless chunk extension", "endless trailer"],
)
async def test_framing_without_content_is_cut_off(path: DataPath, flood: bytes) -> None:
    """A sandbox cannot fill the gateway's memory between two pieces of content."""
    head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    route, key = path.serve(replies(head + flood))
    answer = await path.call(f"/{route.api_id}", key)
    assert not answer.is_whole or answer.status == 502
    (record,) = path.records()
    assert record["error_code"] == "api_bad_response"


async def test_a_compressed_answer_is_passed_on_unopened(path: DataPath) -> None:
    """A bomb stays as small as it came."""
    bomb = b"\x1f\x8b" + b"\0" * 1000
    route, key = path.serve(replies(ok(bomb, b"content-encoding: gzip")))
    answer = await path.call(f"/{route.api_id}", key)
    assert (answer.body, answer.header(b"content-encoding")) == (bomb, b"gzip")
