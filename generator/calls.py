"""HTTP/1.1 to a candidate over its Unix socket. What answers is hostile.

One connection a call, an answer of bounded size in bounded time; nothing is followed, nothing is
unpacked.
"""

import asyncio
import time
from dataclasses import dataclass
from typing import Any, Literal

import h11

from generator.texts import BadJsonError, parsed

MAX_ANSWER = 1_000_000  # bytes
SECONDS = 2.0
_MAX_HEAD = 64 * 1024
_CHUNK = 64 * 1024
_JSON_DEPTH = 60
_Kind = Literal["hangs", "answer_too_large", "answer_broken", "connection_closed", "cannot_be_sent"]


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent. `target` is path and query, encoded."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """What came, whole; names of headers are in lower case."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    seconds: float = 0.0

    @property
    def media_type(self) -> str:
        """Of the body, without parameters; empty when it is not told."""
        told = next((value for name, value in self.headers if name == "content-type"), "")
        return told.partition(";")[0].strip().lower()

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode(errors="replace")

    def json(self) -> Any:
        """Its value (`Any`: JSON); BadJsonError when it is none."""
        try:
            text = self.body.decode()
        except UnicodeDecodeError as error:
            raise BadJsonError("it is no text") from error
        return parsed(text, characters=MAX_ANSWER, depth=_JSON_DEPTH)


class CallFailed(Exception):  # noqa: N818 - an outcome of a case, never an error of ours
    """No whole answer came. `rule` is the finding's."""

    def __init__(self, rule: _Kind, reason: str) -> None:
        super().__init__(reason)
        self.rule = rule
        self.reason = reason


async def call(socket_path: str, request: Request, seconds: float = SECONDS) -> Reply:
    """The answer; CallFailed when none came, was too large, or was no HTTP."""
    begin = time.monotonic()
    wire = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MAX_HEAD)
    try:
        data = _sent(wire, request)
        async with asyncio.timeout(seconds):
            reader, writer = await asyncio.open_unix_connection(socket_path)
            try:
                status, headers, body = await _exchange(wire, reader, writer, data)
            finally:
                writer.transport.abort()
    except TimeoutError as error:
        raise CallFailed("hangs", f"it gave no whole answer within {seconds:g} s") from error
    except h11.RemoteProtocolError as error:
        raise CallFailed("answer_broken", "its answer is no whole HTTP/1.1") from error
    except h11.LocalProtocolError as error:
        raise CallFailed("cannot_be_sent", "it cannot be sent as HTTP/1.1") from error
    except OSError as error:
        raise CallFailed("connection_closed", "it closed the connection") from error
    return Reply(status, headers, body, time.monotonic() - begin)


async def _exchange(
    wire: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, data: bytes
) -> tuple[int, tuple[tuple[str, str], ...], bytes]:
    writer.write(data)
    sending = asyncio.ensure_future(writer.drain())  # it may answer before it has read all
    try:
        return await _received(wire, reader)
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)


def _sent(wire: h11.Connection, request: Request) -> bytes:
    fixed = [("Host", "sandbox"), ("Connection", "close"), ("Accept-Encoding", "identity")]
    length = [("Content-Length", str(len(request.body)))] if request.body is not None else []
    head = h11.Request(
        method=request.method,
        target=request.target,
        headers=[*fixed, *length, *request.headers],
    )
    parts = [wire.send(head)]
    if request.body:
        parts.append(wire.send(h11.Data(data=request.body)))
    parts.append(wire.send(h11.EndOfMessage()))
    return b"".join(part for part in parts if part)


async def _received(
    wire: h11.Connection, reader: asyncio.StreamReader
) -> tuple[int, tuple[tuple[str, str], ...], bytes]:
    status, size, parts = 0, 0, []
    headers: tuple[tuple[str, str], ...] = ()
    while True:
        event = wire.next_event()
        if event is h11.NEED_DATA:
            wire.receive_data(await reader.read(_CHUNK))
        elif isinstance(event, h11.Response):
            status = event.status_code
            headers = tuple(
                (name.decode(), value.decode("latin-1")) for name, value in event.headers
            )
        elif isinstance(event, h11.Data):
            parts.append(bytes(event.data))
            size += len(event.data)
            if size > MAX_ANSWER:
                raise CallFailed("answer_too_large", f"its answer has more than {MAX_ANSWER} bytes")
        elif isinstance(event, h11.EndOfMessage):
            return status, headers, b"".join(parts)
        elif isinstance(event, h11.ConnectionClosed) or event is h11.PAUSED:
            raise CallFailed("answer_broken", "its answer is no whole HTTP/1.1")
