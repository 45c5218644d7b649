"""The connections to one sandbox, used again and never shared with another sandbox.

Their number is bounded by the calls that may be under way in a sandbox: each call uses one,
and a new one is opened only when none is idle.
"""

import asyncio
import contextlib
import errno

from gateway.errors import UnavailableError
from gateway.proxy.connection import Connection
from gateway.proxy.errors import NothingSentError

_FULL_BACKLOG_PAUSE = 0.01
_FULL = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class Upstream:
    """This is the one place that knows that a sandbox is reached over a Unix socket."""

    def __init__(self, socket_path: str) -> None:
        self._path = socket_path
        self._idle: list[Connection] = []
        self._is_closed = False

    def at_once(self) -> Connection | None:
        """An idle connection that is in order; the warm path."""
        idle = self._idle
        while idle:
            connection = idle.pop()
            if connection.is_alive():
                return connection
            connection.abort()
        return None

    async def connection(self) -> Connection:
        """An idle connection or a new one; the caller keeps the deadline.

        Raises NothingSentError when nobody listens any more, UnavailableError when this process
        can open nothing: that says nothing of the sandbox.
        """
        connection = self.at_once()
        return connection if connection is not None else await self._connect()

    def give_back(self, connection: Connection) -> None:
        """The call is over: keep the connection when it ended cleanly, else close it."""
        connection.rest()
        if self._is_closed or not connection.is_reusable:
            connection.abort()
        else:
            self._idle.append(connection)

    def close(self) -> None:
        """Close what is idle now and the rest as it comes back."""
        self._is_closed = True
        while self._idle:
            self._idle.pop().abort()

    async def _connect(self) -> Connection:
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
            if error.errno in _FULL:
                raise UnavailableError("This gateway has too much open; try again.") from error
            raise NothingSentError(str(error)) from error
