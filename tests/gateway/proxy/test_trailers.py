"""Fields behind a body pass in neither direction: nobody takes them for a head, or for a call."""

import asyncio

import pytest

from tests.support.datapath import DataPath
from tests.support.rawhttp import head, ok, read_answer, read_request
from tests.support.waiting import until

SAID_AGAIN = [
    b"Content-Length: 100",
    b"Transfer-Encoding: chunked",
    b"Host: evil.test",
    b"X-API-Key: evil",
    b"Authorization: Bearer evil",
    b"Cookie: evil=1",
    b"Connection: close, evil",
    b"X-Sandgate-Context: 1.2.3.4 5 https /evil evil 1",
    b"Traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    b"X-Evil: 1",
]
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Evil\r\n\r\n"


@pytest.mark.parametrize("trailer", SAID_AGAIN, ids=lambda line: line.split(b":")[0].decode())
async def test_a_requests_trailer_reaches_no_app(path: DataPath, trailer: bytes) -> None:
    """The app reads the body's end where the caller's trailer was."""
    seen = b""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal seen
        while data := await reader.read(65536):
            seen += data
            if seen.endswith(b"\r\n0\r\n\r\n"):
                writer.write(ok())

    route, key = path.serve(handle)
    call = head(route.api_id, key, "Transfer-Encoding: chunked", "Trailer: X-Evil")
    answer = await path.raw(call + b"3\r\nabc\r\n0\r\n" + trailer + b"\r\n\r\n", "POST")
    assert answer.status == 200
    assert seen.endswith(b"\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
    assert seen.count(b"\r\n\r\n") == 2
    assert b"evil" not in seen.lower()
    assert b"0af7651916cd43dd" not in seen


@pytest.mark.parametrize("hidden", [b"X-A: 1\r\n\r\n", b"\r\n"], ids=["a trailer", "none"])
async def test_what_follows_a_requests_trailer_is_a_request_of_its_own(
    path: DataPath, hidden: bytes
) -> None:
    """With no key of its own it is refused, whoever's bytes came before it."""
    heads: list[bytes] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            heads.append(await read_request(reader))
            writer.write(ok(b"mine"))

    route, key = path.serve(handle)
    reader, writer = await path.connect()
    call = head(route.api_id, key, "Transfer-Encoding: chunked")
    smuggled = f"GET /{route.api_id}/smuggled HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    writer.write(call + b"0\r\n" + hidden + smuggled)
    async with asyncio.timeout(20):
        assert (await reader.readuntil(b"mine")).startswith(b"HTTP/1.1 200 ")
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 401 ")
    writer.close()
    assert len(heads) == 1
    assert b"smuggled" not in heads[0]


@pytest.mark.parametrize(
    "trailer",
    [
        b"Set-Cookie: evil=1; Path=/",
        b"X-Request-ID: evil",
        b"Clear-Site-Data: evil",
        b"Content-Type: text/html; evil",
        b"X-Evil: 1",
    ],
    ids=lambda line: line.split(b":")[0].decode(),
)
async def test_an_answers_trailer_reaches_no_caller(path: DataPath, trailer: bytes) -> None:
    """Nor does the announcement of one; the connection to the sandbox may be used again."""
    calls = 0

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal calls
        while True:
            await read_request(reader)
            calls += 1
            writer.write(CHUNKED + b"2\r\nok\r\n0\r\n" + trailer + b"\r\n\r\n")

    route, key = path.serve(handle)
    reader, writer = await path.connect()
    for number in (1, 2):
        writer.write(head(route.api_id, key, method="GET"))
        answer = await read_answer(reader)
        assert (answer.status, answer.body, answer.is_whole) == (200, b"ok", True)
        assert b"evil" not in b"\n".join(name + value for name, value in answer.headers).lower()
        assert answer.header(b"content-length") in (None, b"2")
        assert answer.header(b"trailer") is None
        assert calls == number
    writer.close()


@pytest.mark.parametrize("is_one_piece", [True, False], ids=["in one piece", "a piece later"])
async def test_an_answer_hidden_behind_a_trailer_is_nobodys(
    path: DataPath, *, is_one_piece: bool
) -> None:
    """Neither this caller's nor the next one's."""
    first, is_hidden = True, asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal first
        await read_request(reader)
        if not first:
            writer.write(ok(b"honest"))
            return
        first = False
        answer, hidden = CHUNKED + b"2\r\nok\r\n0\r\nX-A: 1\r\n\r\n", ok(b"evil")
        if is_one_piece:
            writer.write(answer + hidden)
        else:
            writer.write(answer)
            await writer.drain()
            await until(lambda: len(path.records()) == 1)
            writer.write(hidden)
        is_hidden.set()
        await reader.read()

    route, key = path.serve(handle)
    raw = await path.call(f"/{route.api_id}", key)
    assert b"evil" not in raw.body
    await is_hidden.wait()
    for _ in range(2):
        answer = await path.call(f"/{route.api_id}", key)
        assert (answer.status, answer.body) == (200, b"honest")


@pytest.mark.parametrize(
    "trailer",
    [b"HTTP/1.1 200 OK", b"Content-Length: 5", b"A : b"],
    ids=["no field", "framing", "a space before the colon"],
)
async def test_what_may_be_no_trailer_breaks_the_answer_off(path: DataPath, trailer: bytes) -> None:
    """Such a sandbox does not speak HTTP, or wants its answer to have two ends."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(CHUNKED + b"2\r\nok\r\n0\r\n" + trailer + b"\r\n\r\n")
        await reader.read()

    route, key = path.serve(handle)
    answer = await path.call(f"/{route.api_id}", key)
    assert not answer.is_whole or answer.status == 502
    assert path.records()[0]["error_code"] == "api_bad_response"
