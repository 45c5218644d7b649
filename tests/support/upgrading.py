"""Both ends of WebSockets through the gateway.

A caller is the `websockets` client; a sandbox is played by hand: it says the 101 it is told
to, then what a test wants.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.frames import Frame, Opcode

from gateway.proxy.handshake import accept_of
from gateway.store.call_settings import CallSettings, WebSocketSettings
from tests.support.datapath import DataPath
from tests.support.rawhttp import Handler, read_request

Then = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def value_of(head: bytes, name: bytes) -> bytes:
    """One header of a raw head; empty when it is not there."""
    for line in head.split(b"\r\n")[1:]:
        each, _, value = line.partition(b":")
        if each.lower() == name:
            return value.strip()
    return b""


def switching(head: bytes, *more: bytes) -> bytes:
    """The right answer to a handshake."""
    accept = accept_of(value_of(head, b"sec-websocket-key"))
    lines = [
        b"HTTP/1.1 101 Switching Protocols",
        b"Upgrade: websocket",
        b"Connection: Upgrade",
        b"Sec-WebSocket-Accept: " + accept,
        *more,
    ]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def accepts(then: Then, *more: bytes, early: bytes = b"") -> Handler:
    """Agrees to every handshake, sends `early` with the answer, and goes on with `then`."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await read_request(reader)
        writer.write(switching(head, *more) + early)
        await then(reader, writer)

    return handle


def text(data: bytes, *, fin: bool = True) -> bytes:
    """A frame of a server."""
    return Frame(Opcode.TEXT, data, fin).serialize(mask=False)


async def next_frame(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Opcode and unmasked payload of a client's next frame, of at most 65535 bytes."""
    first, second = await reader.readexactly(2)
    size = second & 0x7F
    if size == 126:
        size = int.from_bytes(await reader.readexactly(2))
    key = await reader.readexactly(4) if second & 0x80 else bytes(4)
    payload = await reader.readexactly(size)
    return first & 0x0F, bytes(byte ^ key[i % 4] for i, byte in enumerate(payload))


async def echo_frames(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers each message with itself, and a close with a close."""
    while True:
        opcode, payload = await next_frame(reader)
        writer.write(Frame(Opcode(opcode), payload).serialize(mask=False))
        if opcode == Opcode.CLOSE:
            return


def serve(path: DataPath, handler: Handler, **settings: Any) -> tuple[str, str]:
    """An API that this handler serves: its address, and a key."""
    made = CallSettings(websocket=WebSocketSettings(**settings))
    route, key = path.serve(handler, settings=made)
    return f"ws://127.0.0.1:{path.port}/{route.api_id}/ws?q=%20a", key


def opened(address: str, key: str, **more: Any) -> connect:
    """A caller's, with its key in a header."""
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
