"""Callers who take their time: with a head, with a body, with reading their answers."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import pytest

from gateway.proxy import forward
from gateway.server.serving import Server
from tests.support.datapath import DataPath, data_path
from tests.support.rawhttp import head, never, ok, read_answer, read_request, serve_forever
from tests.support.waiting import until

MANY = 100
PACE = 0.02  # seconds between two bytes of those who drip
PIECE = 60_000
Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest.fixture
async def path() -> AsyncIterator[DataPath]:
    async with data_path() as opened:
        yield opened


@contextlib.asynccontextmanager
async def caller(path: DataPath) -> AsyncIterator[Ends]:
    """A connection that is gone afterwards, whatever waits on it."""
    reader, writer = await path.connect()
    try:
        yield reader, writer
    finally:
        writer.transport.abort()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


@contextlib.asynccontextmanager
async def impatient(path: DataPath) -> AsyncIterator[int]:
    """The port of a server that gives heads half a second."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=256)
    server = Server(path.endpoint, path.endpoint.at_once, head_seconds=0.5)
    await server.start([listener])
    try:
        yield int(listener.getsockname()[1])
    finally:
        await server.close()
        listener.close()


async def drips(port: int, start: bytes) -> bytes:
    """Send a byte now and then for as long as that works; the first line of what came back."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    line = asyncio.create_task(reader.readline())
    writer.write(start)
    with contextlib.suppress(ConnectionError):
        while not line.done():
            writer.write(b"a")
            await writer.drain()
            await asyncio.sleep(PACE)
    try:
        return await line
    finally:
        writer.close()


async def test_heads_that_drip_are_refused_and_others_are_served_meanwhile(path: DataPath) -> None:
    route, key = path.serve(serve_forever)
    async with impatient(path) as path.port, asyncio.timeout(30):
        slow = [
            asyncio.create_task(drips(path.port, b"GET / HTTP/1.1\r\nA: ")) for _ in range(MANY)
        ]
        while not all(each.done() for each in slow):
            assert (await path.call(f"/{route.api_id}", key)).status == 200
            await asyncio.sleep(PACE)
        assert {each.result() for each in slow} == {b"HTTP/1.1 408 Request Timeout\r\n"}


async def test_an_upload_that_drips_is_refused_like_one_that_stops() -> None:
    async with data_path(call_seconds=0.3) as path, asyncio.timeout(30):
        route, key = path.serve(never)
        start = head(route.api_id, key, "Content-Length: 1000000")
        assert await drips(path.port, start) == b"HTTP/1.1 408 Request Timeout\r\n"
        assert path.records()[0]["error_code"] == "upload_too_slow"


async def test_an_answer_that_nobody_reads_is_given_up(
    path: DataPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its sandbox is let go, and it is recorded as the caller's doing."""
    monkeypatch.setattr(forward, "READ_SECONDS", 0.1)
    ended = asyncio.Event()

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 999999999\r\n\r\n")
        try:
            while True:
                writer.write(b"x" * PIECE)
                await writer.drain()
        finally:
            ended.set()

    route, key = path.serve(endless)
    async with caller(path) as (_, writer), asyncio.timeout(20):
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(head(route.api_id, key, method="GET"))
        await ended.wait()
        await until(lambda: bool(path.records()))
    assert path.records()[0]["error_code"] == "client_gone"


class Counter:
    """A sandbox with long answers that come at once."""

    def __init__(self) -> None:
        self.calls = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await read_request(reader)
            self.calls += 1
            writer.write(ok(b"x" * PIECE))
            await writer.drain()


async def test_who_reads_no_answers_gets_no_further_ones(path: DataPath) -> None:
    """Requests sent at once cost their caller little and would fill the gateway with answers."""
    sandbox = Counter()
    route, key = path.serve(sandbox)
    async with caller(path) as (reader, writer):
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(head(route.api_id, key, method="GET") * 1000)
        with pytest.raises(TimeoutError):
            await until(lambda: sandbox.calls == 1000, seconds=2)
        writer.transport.resume_reading()  # type: ignore[attr-defined]
        for _ in range(1000):
            assert (await answer_in_turn(reader)) == PIECE


async def answer_in_turn(reader: asyncio.StreamReader) -> int:
    """The length of the next answer."""
    async with asyncio.timeout(20):
        lines = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")
        length = next(int(line[16:]) for line in lines if line.startswith(b"content-length: "))
        return len(await reader.readexactly(length))


async def test_a_caller_who_reads_slowly_gets_all_of_it(path: DataPath) -> None:
    """Nothing of what waited is lost or mixed up."""
    route, key = path.serve(Counter())
    async with caller(path) as (reader, writer):
        writer.write(head(route.api_id, key, method="GET") * 100)
        for _ in range(100):
            assert (await answer_in_turn(reader)) == PIECE
        writer.write(head(route.api_id, key, method="GET"))
        assert (await read_answer(reader)).body == b"x" * PIECE
