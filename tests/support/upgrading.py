"""A sandbox's end of a WebSocket, by hand: says the 101 it is told to, then what a test wants."""

import asyncio
from collections.abc import Awaitable, Callable

from websockets.frames import Frame, Opcode

from gateway.proxy.handshake import accept_of
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
