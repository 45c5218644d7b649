"""How the gateway ends a WebSocket, and when."""

import asyncio
from contextlib import suppress

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode

from gateway.limits.types import Decision, LimitsUnavailableError
from gateway.store.call_settings import CallSettings, WebSocketSettings
from tests.support.datapath import DataPath
from tests.support.rawhttp import read_request
from tests.support.upgrading import (
    accepts,
    closed,
    echo_frames,
    next_frame,
    opened,
    serve,
    silent,
    text,
    through,
)
from tests.support.waiting import until


async def test_nothing_for_too_long_is_1001(path: DataPath) -> None:
    async with through(path, accepts(silent), {"idle_seconds": 0.2}) as socket:
        assert await closed(socket) == (1001, "Nothing came for too long.")


async def test_pings_and_pongs_keep_it(path: DataPath) -> None:
    async with through(path, accepts(echo_frames), {"idle_seconds": 1}) as socket:
        for _ in range(12):
            await (await socket.ping())
            await asyncio.sleep(0.1)
        assert socket.close_code is None


async def test_in_all_it_lasts_so_long(path: DataPath) -> None:
    async with through(path, accepts(echo_frames), {"total_seconds": 0.3}) as socket:
        await (await socket.ping())
        assert await closed(socket) == (1001, "A WebSocket may not last longer.")


async def test_each_message_can_count_as_a_call(path: DataPath) -> None:
    """The upgrade is one, too; the one that is too many does not reach the app."""
    seen: list[bytes] = []

    async def then(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            opcode, payload = await next_frame(reader)
            if opcode == Opcode.CLOSE:
                return
            seen.append(payload)

    made = CallSettings(websocket=WebSocketSettings(limit_messages=True))
    route, _ = path.serve(accepts(then), settings=made)
    key = path.store.add_key(route, limits={"hour": 4})
    async with opened(f"ws://127.0.0.1:{path.port}/{route.api_id}", key) as socket:
        for number in range(5):
            await socket.send(str(number))
        code, reason = await closed(socket)
    assert code == 1008
    assert reason is not None
    assert reason.startswith("Too many messages; wait ")
    assert seen == [b"0", b"1", b"2"]


async def test_many_messages_in_one_piece_are_counted_one_by_one(path: DataPath) -> None:
    async with through(path, accepts(echo_frames), {"limit_messages": True}) as socket:
        frame = Frame(Opcode.TEXT, b"x").serialize(mask=True)
        socket.transport.write(frame * 3000)
        for _ in range(3000):
            assert await socket.recv() == "x"


class Slow:
    """A shared limiter: its decisions come later, when the test says how."""

    def __init__(self) -> None:
        self.waiting: list[asyncio.Future[Decision]] = []

    def decide(self, _limits: object, _charge: object = None) -> "asyncio.Future[Decision]":
        """Not yet."""
        self.waiting.append(asyncio.get_running_loop().create_future())
        return self.waiting[-1]


async def test_a_message_waits_for_a_decision_that_takes_its_time(
    path: DataPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In its turn, with nothing passing by; one that is refused is the last."""
    async with through(path, accepts(echo_frames), {"limit_messages": True}) as socket:
        slow = Slow()
        monkeypatch.setattr(path.limiter, "decide", slow.decide)
        for text in ("one", "two", "three"):
            await socket.send(text)
        for text in ("one", "two"):
            await until(lambda: len(slow.waiting) == 1)
            slow.waiting.pop().set_result(Decision(True, ()))
            assert await socket.recv() == text
        await until(lambda: len(slow.waiting) == 1)
        slow.waiting.pop().set_result(Decision(False, ()))
        assert (await closed(socket))[0] == 1008


async def test_a_message_that_nobody_can_decide_on_is_1013(
    path: DataPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with through(path, accepts(echo_frames), {"limit_messages": True}) as socket:
        slow = Slow()
        monkeypatch.setattr(path.limiter, "decide", slow.decide)
        await socket.send("one")
        await until(lambda: len(slow.waiting) == 1)
        slow.waiting[0].set_exception(LimitsUnavailableError())
        assert await closed(socket) == (1013, LimitsUnavailableError.title)


async def test_a_revoked_key_closes_with_1008(path: DataPath) -> None:
    address, key = serve(path, accepts(silent))
    async with opened(address, key) as socket, opened(address, key) as other:
        (row,) = path.store.keys.values()
        row["revoked_at"] = "2026-01-01T00:00:00+00:00"
        path.news.publish("key", row["key_id"])
        assert await closed(socket) == (1008, "Revoked API key")
        assert await closed(other) == (1008, "Revoked API key")


async def test_a_retired_version_closes_with_1012(path: DataPath) -> None:
    route, key = path.serve(accepts(silent))
    async with opened(f"ws://127.0.0.1:{path.port}/{route.api_id}", key) as socket:
        path.change(route, versions=())
        assert await closed(socket) == (1012, "Another version serves now; connect again.")


async def test_a_gateway_that_drains_closes_with_1012(path: DataPath) -> None:
    async with through(path, accepts(silent)) as socket:
        await path.endpoint.drain()
        assert await closed(socket) == (1012, "The gateway restarts; connect again.")
        assert all(held.in_flight == 0 for held in path.leases.now_held())


async def test_our_close_waits_for_the_end_of_a_frame(path: DataPath) -> None:
    go_on = asyncio.Event()

    async def then(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        whole = text(b"the whole of it")
        writer.write(text(b"first") + whole[:6])
        await go_on.wait()
        writer.write(whole[6:] + text(b"too late"))
        await silent(reader, writer)

    async with through(path, accepts(then)) as socket:
        assert await socket.recv() == "first"
        path.streams.drain()
        go_on.set()
        assert await socket.recv() == "the whole of it"
        assert (await closed(socket))[0] == 1012


async def test_a_handler_that_ignores_our_close_is_cut(path: DataPath) -> None:
    """The gateway does not wait for ever for either side."""
    gone = asyncio.Event()

    async def then(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while not writer.is_closing():
            writer.write(text(b"more"))
            try:
                await writer.drain()
            except ConnectionError:
                break
            await asyncio.sleep(0.01)
        gone.set()

    async with through(path, accepts(then)) as socket:
        path.streams.drain()
        with suppress(ConnectionClosed):
            async for _ in socket:
                pass
        assert socket.close_code == 1012
        await asyncio.wait_for(gone.wait(), 5)


async def test_a_caller_that_leaves_before_the_answer_ends_it_in_the_sandbox(
    path: DataPath,
) -> None:
    arrived, ended = asyncio.Event(), asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        arrived.set()
        assert await reader.read() == b""
        ended.set()

    route, key = path.serve(handle)
    _, writer = await path.connect()
    writer.write(
        f"GET /{route.api_id} HTTP/1.1\r\nHost: x\r\nX-API-Key: {key}\r\nConnection: Upgrade\r\n"
        "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
    )
    await arrived.wait()
    writer.transport.abort()
    await asyncio.wait_for(ended.wait(), 10)
    await until(lambda: all(held.in_flight == 0 for held in path.leases.now_held()))
    await until(lambda: bool(path.records()))
    (record,) = path.records()
    assert (record["status_code"], record["error_code"]) == (499, "client_gone")
