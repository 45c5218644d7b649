"""The connections to one sandbox. Never shared with another; the number of them is bounded."""

import asyncio
import contextlib
from collections import deque

from gateway.proxy.connection import Connection
from gateway.proxy.errors import NothingSentError

MAX_CONNECTIONS = 128
_FULL_BACKLOG_PAUSE = 0.01


class Upstream:
    """Lends connections over a sandbox's socket, first come first served.

    This is the one place that knows that a sandbox is reached over a Unix socket.
    """

    def __init__(self, socket_path: str, *, max_connections: int = MAX_CONNECTIONS) -> None:
        self._path = socket_path
        self._max = max_connections
        self._idle: list[Connection] = []
        self._open = 0
        self._waiting: deque[asyncio.Future[Connection | None]] = deque()
        self._is_closed = False

    def at_once(self) -> Connection | None:
        """An idle connection that is in order; the warm path."""
        idle = self._idle
        while idle:
            connection = idle.pop()
            if connection.is_alive():
                return connection
            self._discard(connection)
        return None

    async def connection(self) -> Connection:
        """A connection, as soon as there is one; the caller keeps the deadline.

        Raises NothingSentError when nobody listens any more.
        """
        connection = self.at_once()
        if connection is not None:
            return connection
        if self._open < self._max:
            self._open += 1
            return await self._connect()
        turn: asyncio.Future[Connection | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            connection = await turn
        except asyncio.CancelledError:
            self._leave_queue(turn)
            raise
        if connection is None:
            return await self._connect()
        if connection.is_alive():
            return connection
        connection.abort()
        return await self._connect()

    def give_back(self, connection: Connection) -> None:
        """The call is over: keep the connection when it ended cleanly, else close it."""
        connection.rest()
        if self._is_closed or not connection.is_reusable:
            self._discard(connection)
        elif not self._hand_over(connection):
            self._idle.append(connection)

    def close(self) -> None:
        """Close what is idle now and the rest as it comes back."""
        self._is_closed = True
        while self._idle:
            self._discard(self._idle.pop())

    async def _connect(self) -> Connection:
        """Open one; the place for it among the open ones is already taken."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                with contextlib.suppress(BlockingIOError):  # its backlog is full
                    _, connection = await loop.create_unix_connection(
                        lambda: Connection(loop), self._path
                    )
                    return connection
                await asyncio.sleep(_FULL_BACKLOG_PAUSE)
        except OSError as error:
            self._closed_one()
            raise NothingSentError(str(error)) from error
        except BaseException:
            self._closed_one()
            raise

    def _discard(self, connection: Connection) -> None:
        connection.abort()
        self._closed_one()

    def _closed_one(self) -> None:
        """Its place goes to whoever waits, else it is free."""
        if not self._hand_over(None):
            self._open -= 1

    def _hand_over(self, connection: Connection | None) -> bool:
        """Give a connection, or the right to open one, to whoever waits longest."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(connection)
                return True
        return False

    def _leave_queue(self, turn: "asyncio.Future[Connection | None]") -> None:
        """A waiting call gave up; what it was handed meanwhile goes to the next one."""
        if turn.done() and not turn.cancelled():
            connection = turn.result()
            if connection is None:
                self._closed_one()
            elif not self._hand_over(connection):
                self._idle.append(connection)
        else:
            with contextlib.suppress(ValueError):
                self._waiting.remove(turn)
