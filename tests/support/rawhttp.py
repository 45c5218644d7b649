"""Raw HTTP for both ends of the call path: what a caller reads, what a sandbox plays."""

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import h11

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Answer:
    """What a raw caller got. `is_whole` is False when the message broke off."""

    status: int = 0
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytes = b""
    is_whole: bool = False

    def header(self, name: bytes) -> bytes | None:
        """The one value of a header; None when it is not there."""
        values = [value for each, value in self.headers if each == name]
        assert len(values) < 2, f"{name!r} came {len(values)} times"
        return values[0] if values else None

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


async def read_answer(reader: asyncio.StreamReader, method: str = "GET") -> Answer:
    """Read one answer strictly, as h11 understands it."""
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method=method, target="/", headers=[("Host", "x")]))
    client.send(h11.EndOfMessage())
    answer = Answer()
    body = bytearray()
    with contextlib.suppress(h11.RemoteProtocolError, ConnectionError):
        async with asyncio.timeout(20):
            while not answer.is_whole:
                event = client.next_event()
                if event is h11.NEED_DATA:
                    client.receive_data(await reader.read(1024 * 1024))
                elif isinstance(event, h11.Response):
                    answer.status = event.status_code
                    answer.headers = list(event.headers)
                elif isinstance(event, h11.Data):
                    body += event.data
                elif isinstance(event, h11.EndOfMessage):
                    answer.is_whole = True
                elif isinstance(event, h11.ConnectionClosed):
                    break
    answer.body = bytes(body)
    return answer


async def read_request(reader: asyncio.StreamReader) -> bytes:
    """A call as it reaches a sandbox: its head and, when it tells a length, its body."""
    head = await reader.readuntil(b"\r\n\r\n")
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return head + await reader.readexactly(int(line.partition(b":")[2]))
        if line.startswith(b"transfer-encoding:"):
            return head + await reader.readuntil(b"0\r\n\r\n")
    return head


def replies(*answers: bytes, then_close: bool = False) -> Handler:
    """A sandbox that answers each call on a connection with the next of these bytes."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in answers:
            await read_request(reader)
            writer.write(answer)
            await writer.drain()
        if not then_close:
            await reader.read()

    return handle


def ok(body: bytes = b"ok", *headers: bytes) -> bytes:
    """A plain good answer."""
    lines = [b"HTTP/1.1 200 OK", b"content-length: %d" % len(body), *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


async def serve_forever(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A good sandbox."""
    while True:
        await read_request(reader)
        writer.write(ok())
        await writer.drain()


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers every call with the bytes that reached the sandbox."""
    while True:
        raw = await read_request(reader)
        writer.write(ok(raw))
        await writer.drain()


async def never(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Reads everything and says nothing."""
    while await reader.read(65536):
        pass


def head(route: str, key: str, *lines: str, method: str = "POST") -> bytes:
    """The head of a call."""
    return "\r\n".join(
        [f"{method} /{route} HTTP/1.1", "Host: x", f"X-API-Key: {key}", *lines, "", ""]
    ).encode()
