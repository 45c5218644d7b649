"""Opening WebSockets over real sockets: callers, the gateway, and sandboxes of any kind."""

import asyncio
import json

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.frames import Opcode
from websockets.typing import Subprotocol

from tests.support.datapath import DataPath
from tests.support.rawhttp import Handler, read_request, replies
from tests.support.upgrading import (
    accepts,
    echo_frames,
    next_frame,
    opened,
    serve,
    silent,
    switching,
    through,
    value_of,
)


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
        writer.write(switching(heads[0], b"X-Own: 1", b"Set-Cookie: a=b; Path=/x"))
        await echo_frames(reader, writer)

    async with through(path, handle, compression=None) as socket:
        assert socket.response is not None
        assert socket.response.headers["x-own"] == "1"
        (api_id,) = path.store.routes
        assert f"Path=/{api_id}/x" in socket.response.headers["set-cookie"]
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
