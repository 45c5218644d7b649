"""Listens, keeps track of connections, times them, and ends them in stages."""

import asyncio
import contextlib
import select
import socket
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import structlog
from starlette.types import ASGIApp

from gateway.server.asgi import Cycle, scope_of
from gateway.server.connection import ClientConnection, Request
from gateway.server.host import Sender
from gateway.server.request import Head

_log = structlog.get_logger(__name__)

HEAD_SECONDS = 10.0  # from the first byte of a head to its last
KEEP_ALIVE_SECONDS = 75.0
LINGER_SECONDS = 2.0
LAST_REQUEST_SECONDS = 1.0  # for requests that were on their way when the end began
BACKLOG = 4096
_TICK = 0.5
_ON_ITS_WAY = 0.02  # for a connection that the loop has accepted and we have not seen yet

AtOnce = Callable[[Request], bool]
SenderOf = Callable[[Sender | None, Head], tuple[Sender | None, str]]


def _the_peer(peer: Sender | None, _head: Head) -> tuple[Sender | None, str]:
    """Nobody stands in front of this server."""
    return peer, "http"


class Server:
    """`at_once` may answer a request without a task; what it leaves goes to `app`."""

    def __init__(
        self,
        app: ASGIApp,
        at_once: AtOnce | None = None,
        *,
        sender: SenderOf = _the_peer,
        head_seconds: float = HEAD_SECONDS,
        keep_alive_seconds: float = KEEP_ALIVE_SECONDS,
    ) -> None:
        self._app = app
        self._at_once = at_once
        self.sender = sender
        self._head_seconds = head_seconds
        self._keep_alive_seconds = keep_alive_seconds
        self._loop = asyncio.get_running_loop()
        self._connections: set[ClientConnection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._servers: list[asyncio.Server] = []
        self._address: tuple[str, int] | None = None
        self._sweeper: asyncio.Task[None] | None = None
        self.now = self._loop.time()
        self.is_draining = False

    # --- for connections

    def opened(self, connection: ClientConnection) -> None:
        """It is there."""
        self._connections.add(connection)

    def closed(self, connection: ClientConnection) -> None:
        """It is gone, or another protocol's."""
        self._connections.discard(connection)

    def dispatch(self, request: Request) -> None:
        """Answer it, now or later."""
        try:
            if self._at_once is not None and self._at_once(request):
                return
        except Exception:  # noqa: BLE001 - a bug costs the short way, not the call
            _log.exception("request_failed")
        self.run(request, None)

    def run(self, request: Request, app: ASGIApp | None) -> None:
        """Answer it in a task; without an application by the server's own."""
        self.spawn(Cycle(request).run(app or self._app, self.scope(request)))

    def scope(self, request: Request) -> dict[str, Any]:
        """Its ASGI scope."""
        return scope_of(request, self._address)

    def spawn(self, work: Any) -> None:
        """Run it as part of the server: drain waits for it. `Any`: a coroutine of whatever."""
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # --- life

    async def start(self, sockets: Iterable[socket.socket]) -> None:
        """Accept from now on."""
        for each in sockets:
            name = each.getsockname()
            if isinstance(name, tuple):
                self._address = (str(name[0]), int(name[1]))
            self._servers.append(
                await self._loop.create_server(
                    lambda: ClientConnection(self, self._loop), sock=each, backlog=BACKLOG
                )
            )
        self._sweeper = self._loop.create_task(self._sweep())

    async def drain(
        self,
        seconds: float,
        *,
        notice: float = 0.0,
        tell: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """End in stages: say so, stop accepting, tell streams, wait, cut what is left.

        `notice` is for balancers that ask `/ready`: until it is over nothing else changes.
        """
        await asyncio.sleep(notice)
        self.is_draining = True
        for server in self._servers:
            server.close()
        await asyncio.sleep(_ON_ITS_WAY)
        if tell is not None:
            await tell()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._emptied()
        await self.close()

    async def close(self) -> None:
        """Cut everything."""
        for server in self._servers:
            server.close()
        if self._sweeper is not None:
            self._sweeper.cancel()
        for connection in list(self._connections):
            connection.transport.abort()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def in_flight(self) -> int:
        """Requests that have no whole answer yet."""
        return sum(connection.request is not None for connection in self._connections)

    @property
    def has_tasks(self) -> bool:
        """Whether anything is being answered in a task."""
        return bool(self._tasks)

    async def _emptied(self) -> None:
        """Wait for answers; idle connections get a moment for a request that is on its way."""
        idle_until = self._loop.time() + LAST_REQUEST_SECONDS
        while self._connections or self._tasks:
            if self._loop.time() >= idle_until:
                for connection in list(self._connections):
                    if connection.request is None and not _has_input(connection):
                        connection.transport.close()
            await asyncio.sleep(0.02)

    async def _sweep(self) -> None:
        """Time for all connections: one look each, now and then, instead of a timer each."""
        while True:
            await asyncio.sleep(_TICK)
            self.now = self._loop.time()
            for connection in list(self._connections):
                self._look_at(connection)

    def _look_at(self, connection: ClientConnection) -> None:
        age = self.now - connection.since
        if connection.is_lingering:
            if age >= LINGER_SECONDS:
                connection.transport.abort()
        elif connection.request is not None:
            return  # whoever answers it keeps the time
        elif connection.can_write and connection.is_reading:
            if age >= self._head_seconds:
                connection.too_slow()
        elif age >= self._keep_alive_seconds:
            if connection.transport.get_write_buffer_size():
                connection.transport.abort()  # nobody reads its last answer
            connection.transport.close()


def _has_input(connection: ClientConnection) -> bool:
    """Whether the kernel has something that was not read yet."""
    found = connection.transport.get_extra_info("socket")
    if found is None or connection.is_reading:
        return connection.is_reading
    poll = select.poll()
    poll.register(found.fileno(), select.POLLIN)
    return bool(poll.poll(0))
