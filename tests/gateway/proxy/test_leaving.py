"""Callers that leave: whatever was done for them ends, and makes room."""

import asyncio
import contextlib

from tests.support.datapath import DataPath
from tests.support.rawhttp import head, read_request
from tests.support.upgrading import accepts, silent
from tests.support.waiting import until

HANDSHAKE = (
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
)


async def test_an_answer_that_never_pauses_ends_when_its_caller_leaves(path: DataPath) -> None:
    """Nobody waits for news then, which is where a caller's end is noticed otherwise."""
    is_over = asyncio.Event()

    async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            while not writer.is_closing():
                writer.write(b"400\r\n" + b"x" * 1024 + b"\r\n")
                await writer.drain()
                await asyncio.sleep(0)
        is_over.set()

    route, key = path.serve(pour)
    reader, writer = await path.connect()
    writer.write(head(route.api_id, key, method="GET"))
    await reader.readexactly(100_000)
    writer.transport.abort()
    async with asyncio.timeout(20):
        await is_over.wait()
    await until(lambda: len(path.records()) == 1)
    assert path.records()[0]["error_code"] == "client_gone"
    await until(lambda: all(held.in_flight == 0 for held in path.leases.now_held()))


async def test_a_websocket_gives_its_place_in_the_queue_back(path: DataPath) -> None:
    """While its sandbox is started; and it is recorded as one that left."""
    route, key = path.serve(accepts(silent))
    path.sandboxes.gate.clear()
    _, writer = await path.connect()
    writer.write(head(f"{route.api_id}/ws", key, *HANDSHAKE, method="GET"))
    await until(lambda: path.leases.waiting == 1)
    writer.transport.abort()
    await until(lambda: path.leases.waiting == 0)
    await until(lambda: len(path.records()) == 1)
    assert path.records()[0]["error_code"] == "client_gone"
    path.sandboxes.gate.set()


async def test_who_leaves_before_a_refusal_is_whole_ends_it(path: DataPath) -> None:
    """The app's no to a WebSocket is an answer like any other."""
    began = asyncio.Event()

    async def dribble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 10\r\n\r\n..")
        await writer.drain()
        began.set()
        await reader.read()

    route, key = path.serve(dribble)
    _, writer = await path.connect()
    writer.write(head(f"{route.api_id}/ws", key, *HANDSHAKE, method="GET"))
    await began.wait()
    writer.transport.abort()
    await until(lambda: len(path.records()) == 1)
    assert path.records()[0]["error_code"] == "client_gone"
    assert all(held.in_flight == 0 for held in path.leases.now_held())
