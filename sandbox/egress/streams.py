"""Byte streams of the door: a plain one, and TLS inside another one."""

import asyncio
import contextlib
import ssl
from collections.abc import Callable
from typing import Protocol, TypeVar

T = TypeVar("T")

_READ = 64 * 1024


class Stream(Protocol):
    """One connection, both ways. Every method may raise OSError."""

    async def read(self) -> bytes:
        """Bytes that are there; none at the end."""

    async def write(self, data: bytes) -> None:
        """Take the bytes, and return when there is room for more."""

    async def end(self) -> None:
        """No more bytes from this side."""


class PlainStream:
    """A socket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._is_tls = False

    async def read(self) -> bytes:
        """Bytes that are there; none at the end."""
        return await self._reader.read(_READ)

    async def write(self, data: bytes) -> None:
        """Take the bytes, and return when there is room for more."""
        self._writer.write(data)
        await self._writer.drain()

    async def end(self) -> None:
        """No more bytes from this side."""
        if self._writer.can_write_eof():
            self._writer.write_eof()
        # TLS cannot end one way only; its side is closed with the connection

    async def start_tls(self, context: ssl.SSLContext, server_hostname: str) -> None:
        """Go on in TLS, as its client; raises OSError."""
        self._is_tls = True
        await self._writer.start_tls(context, server_hostname=server_hostname)

    def abort(self) -> None:
        """Close at once; what was not sent is lost."""
        self._writer.transport.abort()

    async def close(self, flush_seconds: float, linger_seconds: float) -> None:
        """Send what was written, give the other side a moment to read it, and close."""
        if self._is_tls:  # the host has said everything, and heard enough for that
            self.abort()
            return
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(flush_seconds):
                self._writer.transport.set_write_buffer_limits(high=0)
                await self._writer.drain()
                await self.end()
            async with asyncio.timeout(linger_seconds):
                while await self.read():
                    pass
        self.abort()


class TlsStream:
    """The server's side of TLS over another stream, whose first bytes were read already."""

    def __init__(self, below: Stream, context: ssl.SSLContext, first: bytes) -> None:
        self._below = below
        self._in = ssl.MemoryBIO()
        self._out = ssl.MemoryBIO()
        self._in.write(first)
        self._tls = context.wrap_bio(self._in, self._out, server_side=True)

    async def handshake(self) -> None:
        """Agree on keys; raises OSError, as all of `ssl` does."""
        await self._do(self._tls.do_handshake)

    async def read(self) -> bytes:
        """Bytes that are there; none at the end."""
        try:
            return await self._do(lambda: self._tls.read(_READ))
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return b""

    async def write(self, data: bytes) -> None:
        """Take the bytes, and return when there is room for more."""
        left = memoryview(data)
        while left:
            taken = await self._do(lambda piece=left: self._tls.write(piece))  # type: ignore[misc]
            left = left[taken:]

    async def end(self) -> None:
        """No more bytes from this side."""
        with contextlib.suppress(ssl.SSLError):  # the other side's farewell is not waited for
            self._tls.unwrap()
        await self._flush()
        await self._below.end()

    async def _do(self, action: Callable[[], T]) -> T:
        while True:
            try:
                result = action()
            except ssl.SSLWantReadError:
                await self._flush()
                await self._fill()
                continue
            except ssl.SSLError:
                await self._flush()  # the alert that says what was wrong
                raise
            await self._flush()
            return result

    async def _flush(self) -> None:
        if data := self._out.read():
            await self._below.write(data)

    async def _fill(self) -> None:
        if data := await self._below.read():
            self._in.write(data)
        else:
            self._in.write_eof()
