"""A sandbox made of raw sockets: it answers with exactly the bytes of a row, piece by piece."""

import asyncio
import contextlib
import fcntl
import itertools
import socket
import struct
import termios
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.hostile.raw_answer_rows import AnswerRow, Cue, Reads, Then
from tests.support.rawhttp import ok

DRIP_SECONDS = 0.01


class RawSandbox:
    """Each call, over whichever connection, is answered with the next of `plan`, then well.

    None of `plan` is a good answer. `connections` counts those that were accepted; `played` is
    set when a row was sent to its end.
    """

    def __init__(self, *plan: AnswerRow | None) -> None:
        self._plan = iter(plan)
        self._numbers = itertools.count(1)
        self._tasks: list[asyncio.Task[None]] = []
        self.connections = 0
        self.cues = {cue: asyncio.Event() for cue in Cue}
        self.played = asyncio.Event()

    @asynccontextmanager
    async def listening(self, path: str) -> AsyncIterator[None]:
        """Accept connections there."""
        with socket.socket(socket.AF_UNIX) as listener:
            listener.setblocking(False)
            listener.bind(path)
            listener.listen(64)
            self._tasks.append(asyncio.create_task(self._accept(listener)))
            try:
                yield
            finally:
                for task in self._tasks:
                    task.cancel()
                found = await asyncio.gather(*self._tasks, return_exceptions=True)
                for error in found:
                    if isinstance(error, Exception):
                        raise error

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            there, _ = await loop.sock_accept(listener)
            there.setblocking(False)
            self.connections += 1
            self._tasks.append(asyncio.create_task(self._serve(there)))

    async def _serve(self, there: socket.socket) -> None:
        """One connection, until it ends."""
        with there, contextlib.suppress(ConnectionError, EOFError):
            while True:
                await _readable(there)
                row = next(self._plan, None)
                if row is None:
                    await _read_call(there, Reads.ALL)
                    await _send(there, ok(b"good %d" % next(self._numbers)))
                elif not await self._play(there, row):
                    return

    async def _play(self, there: socket.socket, row: AnswerRow) -> bool:
        """Whether the connection goes on."""
        try:
            await _read_call(there, row.reads)
            for piece in row.sent:
                if isinstance(piece, Cue):
                    await self.cues[piece].wait()
                else:
                    await _send(there, piece)
            while row.then is Then.DRIPS:
                await _send(there, b"a: b\r\n")
                await asyncio.sleep(DRIP_SECONDS)
            if row.reads is Reads.NOTHING and row.then is Then.WAITS:
                await _read_call(there, Reads.ALL)
            if row.then is Then.HALF_CLOSES:
                there.shutdown(socket.SHUT_WR)
            elif row.then is Then.CLOSES:
                there.close()
            return row.then is Then.WAITS
        finally:
            self.played.set()
            if row.then is Then.HALF_CLOSES:
                await _ended(there)


async def _read_call(there: socket.socket, reads: Reads) -> None:
    """As much of one call as the row says. A good call is there as soon as its head is."""
    if reads is Reads.NOTHING:
        return
    loop = asyncio.get_running_loop()
    data = b""
    while b"\r\n\r\n" not in data:
        data += await _some(loop, there)
    if reads is Reads.HEAD:
        return
    lines, _, body = data.partition(b"\r\n\r\n")
    for line in lines.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            left = int(line.partition(b":")[2]) - len(body)
            while left > 0:
                left -= len(await _some(loop, there))


async def _some(loop: asyncio.AbstractEventLoop, there: socket.socket) -> bytes:
    data = await loop.sock_recv(there, 65536)
    if not data:
        raise EOFError
    return data


async def _readable(there: socket.socket) -> None:
    """Something has come, or the other side is gone; nothing of it is read."""
    loop = asyncio.get_running_loop()
    came = asyncio.Event()
    loop.add_reader(there.fileno(), came.set)
    try:
        await came.wait()
    finally:
        loop.remove_reader(there.fileno())


async def _send(there: socket.socket, piece: bytes) -> None:
    """Send one piece and wait until the gateway has read all of it."""
    await asyncio.get_running_loop().sock_sendall(there, piece)
    while _unread(there):
        await asyncio.sleep(0)


def _unread(there: socket.socket) -> int:
    """Bytes in the kernel that the other side has not taken (of a Unix socket)."""
    answer: bytes = fcntl.ioctl(there.fileno(), termios.TIOCOUTQ, b"\0" * 4)
    return int(struct.unpack("i", answer)[0])


async def _ended(there: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    with contextlib.suppress(ConnectionError):
        while await loop.sock_recv(there, 65536):
            pass
