"""What passes through an open WebSocket, in either direction, and what does not."""

import asyncio

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode

from tests.support.datapath import DataPath
from tests.support.upgrading import (
    accepts,
    closed,
    echo_frames,
    next_frame,
    silent,
    text,
    through,
)
from tests.support.waiting import until


async def test_bytes_that_come_with_the_101_are_not_lost(path: DataPath) -> None:
    async with through(path, accepts(silent, early=text(b"early"))) as socket:
        assert await socket.recv() == "early"


async def test_bytes_that_come_before_the_101_are_not_lost(path: DataPath) -> None:
    """A caller that does not wait for the answer."""
    route, key = path.serve(accepts(echo_frames))
    reader, writer = await path.connect()
    head = (
        f"GET /{route.api_id} HTTP/1.1\r\nHost: x\r\nX-API-Key: {key}\r\nConnection: Upgrade\r\n"
        "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    writer.write(head.encode() + Frame(Opcode.TEXT, b"soon").serialize(mask=True))
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
    assert await reader.readexactly(6) == text(b"soon")
    writer.close()


@pytest.mark.parametrize("code", [1000, 1001, 1003, 3000, 4321])
async def test_close_codes_of_the_caller_pass(path: DataPath, code: int) -> None:
    seen: list[bytes] = []

    async def then(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        opcode, payload = await next_frame(reader)
        seen.append(payload)
        writer.write(Frame(Opcode(opcode), payload).serialize(mask=False))

    async with through(path, accepts(then)) as socket:
        await socket.close(code, "why")
    assert seen == [code.to_bytes(2) + b"why"]
    assert socket.close_code == code


async def test_close_codes_of_the_app_pass_with_their_reason(path: DataPath) -> None:
    async def then(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"\x88\x05" + (4000).to_bytes(2) + b"why")
        assert await next_frame(reader) == (Opcode.CLOSE, (4000).to_bytes(2) + b"why")

    async with through(path, accepts(then)) as socket:
        assert await closed(socket) == (4000, "why")


@pytest.mark.parametrize(
    "junk",
    [b"\x81\x80abcd", b"\xf1\x00", b"\x83\x00", b"\x88\x01x", b"\x09\x00", b"HTTP/1.1 200 OK"],
)
async def test_an_app_that_breaks_the_protocol_is_1011_for_the_caller(
    path: DataPath, junk: bytes
) -> None:
    """What came before passes, nothing of the rest does, and the app is told why."""
    told: list[tuple[int, bytes]] = []

    async def then(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(text(b"good") + junk)
        told.append(await next_frame(reader))

    async with through(path, accepts(then)) as socket:
        assert await socket.recv() == "good"
        code, reason = await closed(socket)
    assert code == 1011
    assert reason is not None
    assert reason.startswith("The API broke the protocol")
    await until(lambda: len(told) == 1)
    assert told[0][1].startswith((1002).to_bytes(2))


async def test_a_caller_that_breaks_the_protocol_is_1002(path: DataPath) -> None:
    told: list[tuple[int, bytes]] = []

    async def then(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        told.append(await next_frame(reader))

    async with through(path, accepts(then)) as socket:
        socket.transport.write(b"\x83\x80\x00\x00\x00\x00")
        assert (await closed(socket))[0] == 1002
    assert told[0][1].startswith((1002).to_bytes(2))


async def test_a_message_over_the_cap_is_1009(path: DataPath) -> None:
    """Either way; nothing of it passes."""
    async with through(path, accepts(echo_frames), {"message_bytes": 1024}) as socket:
        await socket.send("a" * 1024)
        assert len(await socket.recv()) == 1024
        await socket.send(["a" * 1000, "b" * 25])
        assert (await closed(socket))[0] == 1009
    big = accepts(silent, early=text(b"x" * 2000))
    async with through(path, big, {"message_bytes": 1024}) as socket:
        assert (await closed(socket))[0] == 1009


async def test_a_sandbox_that_dies_is_1011(path: DataPath) -> None:
    async def then(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(text(b"last"))
        await writer.drain()

    async with through(path, accepts(then)) as socket:
        assert await socket.recv() == "last"
        assert await closed(socket) == (1011, "The API ended.")


async def test_a_sandbox_that_dies_in_a_frame_leaves_it_visibly_broken(path: DataPath) -> None:
    async def then(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(text(b"never whole")[:-3])
        await writer.drain()

    async with through(path, accepts(then)) as socket:
        with pytest.raises(ConnectionClosed):
            await socket.recv()
        assert socket.close_code == 1006


async def test_a_caller_that_leaves_ends_it_in_the_sandbox(path: DataPath) -> None:
    """What it said last arrives; the slot in the sandbox is free again."""
    said: list[bytes] = []

    async def then(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        said.append((await next_frame(reader))[1])
        said.append(await reader.read())

    async with through(path, accepts(then)) as socket:
        await socket.send("last")
        socket.transport.close()
        await until(lambda: said == [b"last", b""])
    await until(lambda: all(held.in_flight == 0 for held in path.leases.now_held()))
    assert len(path.streams) == 0


async def test_a_side_that_does_not_read_stops_the_other(path: DataPath) -> None:
    """Nothing piles up in between, and all of it arrives in the end."""
    sent = 0
    go_on = asyncio.Event()
    piece = b"\x82\x7f" + (256 * 1024).to_bytes(8) + bytes(256 * 1024)

    async def then(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        for _ in range(200):
            writer.write(piece)
            await writer.drain()
            sent += 1
        writer.write(b"\x88\x00")
        await reader.read()

    async with through(path, accepts(then), max_queue=1) as socket:
        await socket.recv()
        before = -1
        while before != sent:  # until it makes no progress any more
            before = sent
            await asyncio.sleep(0.2)
        assert sent < 150
        go_on.set()
        received = 1
        async for _ in socket:
            received += 1
    assert received == 200
