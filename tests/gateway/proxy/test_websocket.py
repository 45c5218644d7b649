"""WebSockets over real sockets: callers, the gateway, and sandboxes that play any part."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import Frame, Opcode
from websockets.typing import Subprotocol

from gateway.store.call_settings import CallSettings, WebSocketSettings
from tests.support.datapath import DataPath
from tests.support.rawhttp import Handler, read_request, replies
from tests.support.upgrading import accepts, echo_frames, next_frame, switching, text, value_of
from tests.support.waiting import until


def serve(path: DataPath, handler: Handler, **settings: Any) -> tuple[str, str]:
    """An API that this handler serves: its address, and a key."""
    made = CallSettings(websocket=WebSocketSettings(**settings))
    route, key = path.serve(handler, settings=made)
    return f"ws://127.0.0.1:{path.port}/{route.api_id}/ws?q=%20a", key


def opened(address: str, key: str, **more: Any) -> connect:
    return connect(address, additional_headers={"X-API-Key": key}, proxy=None, **more)


@asynccontextmanager
async def through(
    path: DataPath, handler: Handler, settings: dict[str, Any] | None = None, **more: Any
) -> AsyncIterator[ClientConnection]:
    """A WebSocket through the gateway."""
    address, key = serve(path, handler, **(settings or {}))
    async with opened(address, key, **more) as socket:
        yield socket


async def closed(socket: ClientConnection) -> tuple[int | None, str | None]:
    """Code and reason, once it is closed."""
    await asyncio.wait_for(socket.wait_closed(), 10)
    return socket.close_code, socket.close_reason


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Says nothing but the answer to a close."""
    while True:
        opcode, payload = await next_frame(reader)
        if opcode == Opcode.CLOSE:
            writer.write(Frame(Opcode.CLOSE, payload).serialize(mask=False))
            return


# --- the handshake


async def test_messages_pass_in_both_directions(path: DataPath) -> None:
    async with through(path, accepts(echo_frames)) as socket:
        await socket.send("hello")
        assert await socket.recv() == "hello"
        await socket.send(b"\x00" * 60000)
        assert await socket.recv() == b"\x00" * 60000
    assert (socket.close_code, socket.close_reason) == (1000, "")


async def test_the_call_is_recorded_once_and_before_it_ends(path: DataPath) -> None:
    async with through(path, accepts(echo_frames)) as socket:
        assert len(path.records()) == 1
        assert socket.response is not None
        record_id = socket.response.headers["x-request-id"]
    (record,) = path.records()
    assert record["request_id"] == record_id
    assert (record["status_code"], record["error_code"], record["path"]) == (101, None, "/ws")


async def test_the_app_sees_the_handshake_without_the_key(path: DataPath) -> None:
    heads: list[bytes] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await read_request(reader))
        writer.write(switching(heads[0], b"X-Own: 1"))
        await echo_frames(reader, writer)

    async with through(path, handle, compression=None) as socket:
        assert socket.response is not None
        assert socket.response.headers["x-own"] == "1"
        assert "x-ratelimit-limit" in socket.response.headers
    lines = heads[0].split(b"\r\n")
    assert lines[0] == b"GET /ws?q=%20a HTTP/1.1"
    assert lines[1].startswith(b"x-sandgate-context: 127.0.0.1 ")
    assert value_of(heads[0], b"upgrade") == b"websocket"
    assert value_of(heads[0], b"sec-websocket-version") == b"13"
    assert b"api-key" not in heads[0].lower()


@pytest.mark.parametrize(
    ("lines", "status", "code"),
    [
        (["Sec-WebSocket-Version: 8"], 426, "websocket_version"),
        ([], 426, "websocket_version"),
        (["Sec-WebSocket-Version: 13"], 400, "websocket_handshake"),
        (["Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: short"], 400, "websocket_handshake"),
        (
            ["Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="] * 2,
            426,
            "websocket_version",
        ),
        (
            [
                "Sec-WebSocket-Version: 13",
                "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
                "Sec-WebSocket-Protocol: a, a",
            ],
            400,
            "websocket_handshake",
        ),
    ],
)
async def test_a_wrong_handshake_reaches_no_sandbox(
    path: DataPath, lines: list[str], status: int, code: str
) -> None:
    route, key = path.serve(accepts(silent))
    headers = [("Connection", "Upgrade"), ("Upgrade", "websocket")]
    headers += [(line.partition(": ")[0], line.partition(": ")[2]) for line in lines]
    answer = await path.call(f"/{route.api_id}/ws", key, headers=headers)
    assert (answer.status, answer.json()["code"]) == (status, code)
    if status == 426:
        assert answer.header(b"sec-websocket-version") == b"13"
    assert path.sandboxes.started == []
    assert path.records() == []


@pytest.mark.parametrize(
    ("key", "status", "code"), [("", 401, "key_missing"), ("nonsense", 401, "key_malformed")]
)
async def test_who_has_no_key_opens_nothing(
    path: DataPath, key: str, status: int, code: str
) -> None:
    address, _ = serve(path, accepts(silent))
    with pytest.raises(InvalidStatus) as caught:
        await opened(address, key).__aenter__()
    assert caught.value.response.status_code == status
    assert json.loads(caught.value.response.body or b"")["code"] == code


async def test_an_api_may_take_none(path: DataPath) -> None:
    address, key = serve(path, accepts(silent), enabled=False)
    with pytest.raises(InvalidStatus) as caught:
        await opened(address, key).__aenter__()
    assert caught.value.response.status_code == 403
    assert json.loads(caught.value.response.body or b"")["code"] == "websocket_off"
    assert path.sandboxes.started == []


async def test_an_app_that_refuses_answers_the_caller(path: DataPath) -> None:
    refusal = b"HTTP/1.1 418 No\r\ncontent-length: 5\r\nx-own: 1\r\n\r\nsorry"
    address, key = serve(path, replies(refusal))
    with pytest.raises(InvalidStatus) as caught:
        await opened(address, key).__aenter__()
    answer = caught.value.response
    assert (answer.status_code, answer.body) == (418, b"sorry")
    assert answer.headers["x-own"] == "1"
    (record,) = path.records()
    assert (record["status_code"], record["error_code"]) == (418, None)


def answers(*lines: bytes) -> Handler:
    """A sandbox that switches with these lines; `accept` stands for the right one."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        right = value_of(switching(await read_request(reader)), b"sec-websocket-accept")
        said = [line.replace(b"accept", right) for line in lines]
        writer.write(b"\r\n".join([b"HTTP/1.1 101 Yes", *said, b"", b""]))
        await silent(reader, writer)

    return handle


UPGRADE, CONNECTION = b"Upgrade: websocket", b"Connection: Upgrade"
ACCEPT = b"Sec-WebSocket-Accept: accept"


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [UPGRADE, CONNECTION],
        [UPGRADE, CONNECTION, b"Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA="],
        [UPGRADE, CONNECTION, ACCEPT, ACCEPT],
        [CONNECTION, ACCEPT],
        [UPGRADE, ACCEPT],
        [b"Upgrade: h2c", CONNECTION, ACCEPT],
        [UPGRADE, CONNECTION, ACCEPT, b"Sec-WebSocket-Protocol: other"],
        [UPGRADE, CONNECTION, ACCEPT, b"Sec-WebSocket-Protocol: chat, chat"],
        [UPGRADE, CONNECTION, ACCEPT, b"Sec-WebSocket-Extensions: x-own"],
        [UPGRADE, CONNECTION, ACCEPT, b"Sec-WebSocket-Extensions: permessage-deflate"],
        [UPGRADE, CONNECTION, ACCEPT, b"Content-Length: 5"],
        [UPGRADE, CONNECTION, ACCEPT, b"Transfer-Encoding: chunked"],
    ],
)
async def test_a_wrong_agreement_is_502(path: DataPath, lines: list[bytes]) -> None:
    address, key = serve(path, answers(*lines))
    protocols = [Subprotocol("chat")]
    with pytest.raises(InvalidStatus) as caught:
        await opened(address, key, compression=None, subprotocols=protocols).__aenter__()
    assert caught.value.response.status_code == 502
    assert json.loads(caught.value.response.body or b"")["code"] == "api_bad_response"
    (record,) = path.records()
    assert (record["status_code"], record["error_code"]) == (502, "api_bad_response")


async def test_extensions_and_subprotocols_are_agreed_on_end_to_end(path: DataPath) -> None:
    heads: list[bytes] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await read_request(reader))
        chosen = [b"Sec-WebSocket-Extensions: permessage-deflate", b"Sec-WebSocket-Protocol: chat"]
        writer.write(switching(heads[0], *chosen))
        opcode, compressed = await next_frame(reader)
        assert opcode == Opcode.TEXT
        writer.write(bytes([0xC1, len(compressed)]) + compressed)
        await silent(reader, writer)

    asked = [Subprotocol("other"), Subprotocol("chat")]
    async with through(path, handle, subprotocols=asked) as socket:
        assert socket.subprotocol == "chat"
        await socket.send("a" * 1000)
        assert await socket.recv() == "a" * 1000
    assert value_of(heads[0], b"sec-websocket-protocol") == b"other, chat"
    assert value_of(heads[0], b"sec-websocket-extensions").startswith(b"permessage-deflate")


async def test_a_browser_presents_the_key_as_a_subprotocol(path: DataPath) -> None:
    """It never reaches the sandbox, nor comes back; what comes back is our own name."""
    heads: list[bytes] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await read_request(reader))
        writer.write(switching(heads[-1]))
        await echo_frames(reader, writer)

    address, key = serve(path, handle)
    names = [Subprotocol("sandgate"), Subprotocol(f"sandgate.key.{key}")]
    async with connect(address, subprotocols=names, proxy=None) as socket:
        assert socket.subprotocol == "sandgate"
    async with connect(address, subprotocols=names[1:], proxy=None) as socket:
        assert socket.subprotocol is None
        assert socket.response is not None
        assert key not in str(socket.response.headers)
    assert not any(b"sandgate.key" in head or b"protocol" in head for head in heads)


# --- frames


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


# --- its end


async def test_nothing_for_too_long_is_1001(path: DataPath) -> None:
    async with through(path, accepts(silent), {"idle_seconds": 0.2}) as socket:
        assert await closed(socket) == (1001, "Nothing came for too long.")


async def test_pings_and_pongs_keep_it(path: DataPath) -> None:
    async with through(path, accepts(echo_frames), {"idle_seconds": 0.5}) as socket:
        for _ in range(6):
            await (await socket.ping())
            await asyncio.sleep(0.15)
        assert socket.close_code is None


async def test_in_all_it_lasts_so_long(path: DataPath) -> None:
    settings = {"idle_seconds": 0.2, "total_seconds": 0.5}
    async with through(path, accepts(echo_frames), settings) as socket:
        with suppress(ConnectionClosed):
            while True:
                await (await socket.ping())
                await asyncio.sleep(0.05)
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
        path.change(route, generation=route.generation + 1)
        assert await closed(socket) == (1012, "Another version serves now; connect again.")


async def test_a_gateway_that_drains_closes_with_1012(path: DataPath) -> None:
    async with through(path, accepts(silent)) as socket:
        path.streams.drain()
        assert await closed(socket) == (1012, "The gateway restarts; connect again.")


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
