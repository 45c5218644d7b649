"""Is a sandbox ready: one real HTTP request over the very socket that calls will use."""

import asyncio
from pathlib import Path

_REQUEST = (
    b"GET / HTTP/1.1\r\nx-sandgate-context: probe\r\nHost: sandbox\r\nConnection: close\r\n\r\n"
)
_HEAD_BYTES = 8192


class NotReadyError(Exception):
    """The probe was refused or answered wrongly."""


async def probe(socket_path: Path) -> None:
    """Return when the runner answered; the caller sets the deadline."""
    try:
        reader, writer = await asyncio.open_unix_connection(socket_path, limit=_HEAD_BYTES)
        try:
            writer.write(_REQUEST)
            await writer.drain()
            head = await reader.readuntil(b"\r\n\r\n")
        finally:
            writer.transport.abort()
    except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
        raise NotReadyError(f"no answer to the first request: {error}") from error
    if not head.startswith(b"HTTP/1.1 204 "):
        raise NotReadyError("the first request was not answered by the runner")
