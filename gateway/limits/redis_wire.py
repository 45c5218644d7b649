"""One connection to Redis that costs little a command: RESP written by hand, read by hiredis.

Whatever is sent within one turn of the event loop leaves in one write. Answers come in the
order of the commands, so that each has its taker at the head of the queue.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, cast

import hiredis
from redis.asyncio import ConnectionPool
from redis.asyncio.connection import SSLConnection
from redis.exceptions import RedisError

ReplyError = hiredis.ReplyError
Reply = Any  # bytes, int, None, ReplyError, or a list of these: what RESP can say


ASK_SECONDS = 2.0  # for whoever awaits; decisions have their own, shorter patience


class WireLostError(ConnectionError):
    """The connection ended before the answer came."""


class Taker(Protocol):
    """Who waits for one answer."""

    def take(self, reply: Reply) -> None:
        """Here it is; a `ReplyError` is a value."""
        ...

    def lost(self) -> None:
        """It will never come."""
        ...


Word = str | bytes | int


def command(*words: Word) -> bytes:
    """One command as RESP."""
    return b"*%d\r\n" % len(words) + part(*words)


def part(*words: Word) -> bytes:
    """Some words of a command."""
    parts = []
    for word in words:
        raw = word if isinstance(word, bytes) else str(word).encode()
        parts.append(b"$%d\r\n%b\r\n" % (len(raw), raw))
    return b"".join(parts)


class Wire(asyncio.Protocol):
    """A connection. Not for several threads."""

    def __init__(self) -> None:
        self.waiting: deque[Taker] = deque()
        self.on_lost: Callable[[], None] | None = None
        self._reader = hiredis.Reader()
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._out: list[bytes] = []

    @property
    def is_open(self) -> bool:
        """Whether commands can be sent."""
        return self._transport is not None

    def send(self, data: bytes, taker: Taker) -> None:
        """Send one command with everything else of this turn of the loop."""
        if not self._out:
            self._loop.call_soon(self.flush)
        self._out.append(data)
        self.waiting.append(taker)

    async def ask(self, *words: Word) -> Reply:
        """Send one command and wait for its answer; a refusal is raised."""
        answer = _Answer(self._loop.create_future())
        self.require_open()
        self.send(command(*words), answer)
        async with asyncio.timeout(ASK_SECONDS):
            return await answer.future

    def require_open(self) -> None:
        """Raise when nothing can be sent any more."""
        if not self.is_open:
            raise WireLostError("the connection has ended")

    def abort(self) -> None:
        """Give the connection up; whoever waits is told."""
        if self._transport is not None:
            self._transport.abort()
            self.connection_lost(None)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep what to write to."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Hand every answer that is complete to its taker."""
        reader = self._reader
        reader.feed(data)
        try:
            while (reply := reader.gets()) is not False:
                if not self.waiting:
                    self.abort()  # an answer to nothing
                    return
                self.waiting.popleft().take(reply)
        except hiredis.ProtocolError:
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's name
        """Tell everybody once."""
        if self._transport is None:
            return
        self._transport = None
        self._out.clear()
        waiting, self.waiting = self.waiting, deque()
        for taker in waiting:
            taker.lost()
        if self.on_lost is not None:
            self.on_lost()

    def flush(self) -> None:
        """Let what was sent leave now."""
        if self._transport is not None and self._out:
            self._transport.write(b"".join(self._out))
        self._out.clear()


class _Answer:
    """Takes an answer for somebody who awaits it."""

    def __init__(self, future: asyncio.Future[Reply]) -> None:
        self.future = future

    def take(self, reply: Reply) -> None:
        """The answer, or the refusal as an exception."""
        if self.future.done():
            return
        if isinstance(reply, ReplyError):
            self.future.set_exception(reply)
        else:
            self.future.set_result(reply)

    def lost(self) -> None:
        """As an exception."""
        if not self.future.done():
            self.future.set_exception(WireLostError("the connection has ended"))


@dataclass(frozen=True, slots=True)
class Address:
    """Where a Redis is and how one gets in. `repr` shows no password."""

    host: str
    port: int
    path: str | None
    database: int
    username: str | None
    password: str | None
    tls: ssl.SSLContext | None

    def __repr__(self) -> str:
        """Fit for logs."""
        return self.path or f"{self.host}:{self.port}/{self.database}"


def address_of(url: str) -> Address:
    """Read `redis://`, `rediss://` or `unix://`; ValueError says what is wrong, not the URL."""
    try:
        pool = ConnectionPool.from_url(url)
        known = pool.connection_kwargs
        tls = None
        if issubclass(pool.connection_class, SSLConnection):
            tls = pool.connection_class(**known).ssl_context.get()
    except (ValueError, TypeError, RedisError):
        raise ValueError(
            "must be redis://, rediss:// or unix://, like redis://:password@host:6379/0"
        ) from None
    return Address(
        host=known.get("host", "localhost"),
        port=int(known.get("port", 6379)),
        path=known.get("path"),
        database=int(known.get("db") or 0),
        username=known.get("username"),
        password=known.get("password"),
        tls=tls,
    )


async def connect(address: Address, seconds: float) -> Wire:
    """A connection that is let in and has chosen its database."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(seconds):
        if address.path is not None:
            _, wire = await loop.create_unix_connection(Wire, address.path)
        else:
            hostname = address.host if address.tls is not None else None
            _, wire = await loop.create_connection(
                Wire, address.host, address.port, ssl=address.tls, server_hostname=hostname
            )
        try:
            if address.password is not None:
                names = [address.username] if address.username else []
                await wire.ask("AUTH", *names, address.password)
            if address.database:
                await wire.ask("SELECT", address.database)
        except BaseException:
            wire.abort()
            raise
    return wire
