"""Fetches calls where no listener can be handed in: keeps spare connections dialled."""

import asyncio
import socket
from collections.abc import Callable

SPARE = 8  # so many calls can begin at once; what else comes waits at the other end
_DIAL_SECONDS = 5.0
_FIRST_WAIT = 0.05
_LONGEST_WAIT = 2.0

Protocol = Callable[[], asyncio.Protocol]


class Dialler:
    """Each spare connection waits for its first byte; then it is served and another is dialled."""

    def __init__(self, path: str, spare: int = SPARE) -> None:
        self._path = path
        self._spare = spare
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, protocol: Protocol) -> None:
        """Begin; `protocol` makes the server's end of a connection."""
        for _ in range(self._spare):
            task = asyncio.get_running_loop().create_task(self._supply(protocol))
            self._tasks.add(task)

    def stop(self) -> None:
        """Take no more calls; those that are being served go on."""
        for task in self._tasks:
            task.cancel()

    async def _supply(self, protocol: Protocol) -> None:
        loop = asyncio.get_running_loop()
        wait = _FIRST_WAIT
        while True:
            try:
                sock = await self._used_connection()
            except (OSError, TimeoutError):
                await asyncio.sleep(wait)
                wait = min(wait * 2, _LONGEST_WAIT)
                continue
            wait = _FIRST_WAIT
            await loop.connect_accepted_socket(protocol, sock)

    async def _used_connection(self) -> socket.socket:
        """Dial and wait until somebody calls; OSError when the other end is lost before."""
        loop = asyncio.get_running_loop()
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            async with asyncio.timeout(_DIAL_SECONDS):
                await loop.sock_connect(sock, self._path)
            await _readable(loop, sock)
            used = bool(sock.recv(1, socket.MSG_PEEK))
        except BaseException:
            sock.close()
            raise
        if not used:
            sock.close()
            raise ConnectionResetError("closed before it was used")
        return sock


async def _readable(loop: asyncio.AbstractEventLoop, sock: socket.socket) -> None:
    came = asyncio.Event()
    loop.add_reader(sock, came.set)
    try:
        await came.wait()
    finally:
        loop.remove_reader(sock)
