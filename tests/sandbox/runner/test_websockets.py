"""WebSockets of an app in the real runner: as under a plain uvicorn, and within its bounds."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, unix_connect
from websockets.sync.connection import Connection
from websockets.typing import Subprotocol

from tests.support.running import Runner, running

APP = """
import asyncio, time
from fastapi import FastAPI, Response, WebSocket
app = FastAPI()

@app.websocket("/seen/{name}")
async def seen(socket: WebSocket, name: str):
    scope = socket.scope
    await socket.accept(subprotocol="chat" if "chat" in scope["subprotocols"] else None)
    await socket.send_json({
        "client": scope["client"], "scheme": scope["scheme"], "root_path": scope["root_path"],
        "path": scope["path"], "raw_path": scope["raw_path"].decode(), "url": str(socket.url),
        "name": name, "query": socket.url.query,
        "headers": [name.decode() for name, _ in scope["headers"]],
        "request_id": scope["extensions"]["sandgate"]["request_id"],
    })
    await socket.close(4001, "seen")

@app.websocket("/echo")
async def echo(socket: WebSocket):
    await socket.accept()
    async for text in socket.iter_text():
        await socket.send_text(text)

@app.websocket("/late")
async def late(socket: WebSocket):
    await asyncio.sleep(60)

@app.websocket("/refused")
async def refused(socket: WebSocket):
    await socket.send_denial_response(Response("not you", 403))

@app.websocket("/closed")
async def closed(socket: WebSocket):
    await socket.close(1000)

@app.websocket("/greedy")
async def greedy(socket: WebSocket):
    await socket.accept()
    while True:
        end = time.monotonic() + 0.02
        while time.monotonic() < end: pass
        await asyncio.sleep(0)
"""


@pytest.fixture(scope="module")
def runner() -> Iterator[Runner]:
    """One app for all; a call has half a second of the processor."""
    with running() as started:
        assert started.specialise(APP, call_cpu_seconds=0.5)["type"] == "ready"
        yield started


def opened(
    runner: Runner, path: str, milliseconds: int = 0, scheme: str = "http", **more: Any
) -> ClientConnection:
    """As the gateway would ask for it."""
    context = f"203.0.113.9 4711 {scheme} /my-api@2 req-7 {milliseconds}"
    headers = {"x-sandgate-context": context}
    where = str(runner.directory / "app.sock")
    return unix_connect(where, f"ws://x{path}", additional_headers=headers, **more)


def closed(socket: Connection) -> tuple[int, str]:
    """How it was closed."""
    with pytest.raises(ConnectionClosed) as caught:
        socket.recv(20)
    assert caught.value.rcvd is not None
    return caught.value.rcvd.code, caught.value.rcvd.reason


def test_the_scope_is_the_callers(runner: Runner) -> None:
    """Address, scheme and root path are the public ones, and the private header is gone."""
    protocols = [Subprotocol("other"), Subprotocol("chat")]
    with opened(runner, "/seen/a%20b?q=1", scheme="https", subprotocols=protocols) as socket:
        seen = json.loads(socket.recv(10))
        assert socket.subprotocol == "chat"
        assert closed(socket) == (4001, "seen")
    assert (seen["client"], seen["scheme"]) == (["203.0.113.9", 4711], "wss")
    assert (seen["root_path"], seen["path"]) == ("/my-api@2", "/my-api@2/seen/a b")
    assert (seen["raw_path"], seen["name"]) == ("/my-api@2/seen/a%20b", "a b")
    assert (seen["query"], seen["request_id"]) == ("q=1", "req-7")
    assert seen["url"] == "wss://x/my-api@2/seen/a b?q=1"
    assert not [name for name in seen["headers"] if "sandgate" in name.lower()]


def test_plain_http_is_ws(runner: Runner) -> None:
    with opened(runner, "/seen/x") as socket:
        assert json.loads(socket.recv(10))["scheme"] == "ws"


def test_an_app_refuses_in_its_own_words(runner: Runner) -> None:
    for path, status, body in (("/refused", 403, b"not you"), ("/closed", 403, b"")):
        with pytest.raises(InvalidStatus) as caught:
            opened(runner, path)
        assert (caught.value.response.status_code, caught.value.response.body) == (status, body)


def test_the_deadline_ends_when_it_is_accepted(runner: Runner) -> None:
    """One that is never accepted is cancelled; one that was accepted outlives its deadline."""
    with opened(runner, "/echo", milliseconds=300) as socket:
        with pytest.raises(InvalidStatus) as caught:
            opened(runner, "/late", milliseconds=600)
        assert caught.value.response.status_code == 504
        socket.send("still here")
        assert socket.recv(10) == "still here"


def test_the_processor_time_of_a_call_is_that_of_a_websocket(runner: Runner) -> None:
    """It is cancelled, and its caller is told; others go on."""
    with opened(runner, "/echo") as other, opened(runner, "/greedy") as greedy:
        assert closed(greedy) == (1011, "cancelled: it used too much")
        other.send("me not")
        assert other.recv(10) == "me not"
