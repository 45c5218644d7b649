"""Asks clamd about a file, over its INSTREAM command; what it did not call clean is not taken."""

import asyncio
import struct
from pathlib import Path
from typing import Protocol

import structlog

from gateway.errors import InvalidInputError, UnavailableError

SCAN_SECONDS = 20.0
_PIECE_BYTES = 64 * 1024
_ANSWER_BYTES = 4096
_CLEAN = b"stream: OK"
# EOFError: it hung up; LimitOverrunError: it talks without end; ValueError: no such port
_FAILURES = (OSError, TimeoutError, EOFError, asyncio.LimitOverrunError, ValueError)
_log = structlog.get_logger(__name__)


class InfectedFileError(InvalidInputError):
    """The scanner knows something in it."""

    code, title = "infected_file", "The file carries something harmful"


class ScanUnavailableError(UnavailableError):
    """The scanner does not answer, or not as it should; nothing passes unseen."""

    code, title = "scan_unavailable", "Files cannot be checked at the moment"


class Scanner(Protocol):
    """Looks into files."""

    async def scan(self, content: bytes) -> None:
        """Return for a clean one; InfectedFileError or ScanUnavailableError for any other."""
        ...


class Clamd(Scanner):
    """`address` is the path of its Unix socket, or `tcp://host:port`."""

    def __init__(self, address: str, seconds: float = SCAN_SECONDS) -> None:
        self._address = address
        self._seconds = seconds

    async def scan(self, content: bytes) -> None:
        """One connection a file."""
        try:
            async with asyncio.timeout(self._seconds):
                answer = await self._ask(content)
        except _FAILURES as error:
            raise ScanUnavailableError from error
        if answer == _CLEAN:
            return
        _log.warning("file_refused_by_scanner", answer=answer[:200].decode("ascii", "replace"))
        if answer.endswith(b" FOUND"):
            raise InfectedFileError("The virus scanner refused this file")
        raise ScanUnavailableError

    async def _ask(self, content: bytes) -> bytes:
        reader, writer = await self._connected()
        try:
            writer.write(b"zINSTREAM\0")
            for start in range(0, len(content), _PIECE_BYTES):
                piece = content[start : start + _PIECE_BYTES]
                writer.write(struct.pack("!I", len(piece)) + piece)
                await writer.drain()
            writer.write(struct.pack("!I", 0))
            await writer.drain()
            return (await reader.readuntil(b"\0"))[:-1]
        finally:
            writer.close()

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._address.startswith("tcp://"):
            host, _, port = self._address.removeprefix("tcp://").rpartition(":")
            return await asyncio.open_connection(host.strip("[]"), int(port), limit=_ANSWER_BYTES)
        return await asyncio.open_unix_connection(Path(self._address), limit=_ANSWER_BYTES)
