"""Calls for a sandbox that can be given no listener: its runner dials out, and both are paired.

The gateway connects to the public listener as it always does. Each of its connections is
joined to one that the runner keeps dialled for it; from then on bytes go both ways until both
sides have said everything. Whatever comes out of the sandbox is only carried, never read.
"""

import asyncio
import contextlib
import errno
import socket
from functools import partial

import structlog

_log = structlog.get_logger(__name__)

PAIRS = 256  # callers beyond wait in the listener's own queue, as with any sandbox
SPARES = 64  # connections that wait for a caller; what a sandbox dials beyond is closed
CHUNK = 64 * 1024  # bytes held for a direction
FIRST_BYTE_SECONDS = 30.0
SPARE_SECONDS = 30.0
PAUSE_SECONDS = 0.1
# this process, not the sandbox, is short of something for a moment
SHORT = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class Relay:
    """One sandbox's. It holds duplicates of both listeners, so that the givers may close theirs."""

    def __init__(
        self,
        public: socket.socket,
        calls: socket.socket,
        *,
        pairs: int = PAIRS,
        spares: int = SPARES,
    ) -> None:
        self._public = _duplicate(public)
        self._calls = _duplicate(calls)
        self._room = asyncio.Semaphore(pairs)
        self._most_spares = spares
        self._spares: list[socket.socket] = []
        self._spare_came = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> asyncio.Task[None]:
        """Run it in a task; what it holds is let go even when that never takes its first step."""
        task = asyncio.create_task(self.run())
        task.add_done_callback(lambda _: self._close())
        return task

    def _close(self) -> None:
        for sock in (*self._spares, self._public, self._calls):
            sock.close()

    async def run(self) -> None:
        """Until cancelled; then every connection is closed at once."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._take_spares())
                group.create_task(self._take_callers())
        finally:
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            self._close()

    async def _take_spares(self) -> None:
        while True:
            sock = await _accepted(self._calls)
            if len(self._spares) >= self._most_spares:
                self._spares = [one for one in self._spares if _still_there(one)]
            if len(self._spares) >= self._most_spares:
                sock.close()
                await asyncio.sleep(PAUSE_SECONDS)  # whoever dials for nothing may wait
                continue
            self._spares.append(sock)  # at once: a cancellation must not lose it
            async with self._spare_came:
                self._spare_came.notify()
            await asyncio.sleep(0)  # a flood of them must not keep others from their turn

    async def _take_callers(self) -> None:
        while True:
            await self._room.acquire()
            try:
                caller = await _accepted(self._public)
            except BaseException:
                self._room.release()
                raise
            task = asyncio.get_running_loop().create_task(self._serve(caller))
            self._tasks.add(task)
            task.add_done_callback(self._ended)
            task.add_done_callback(partial(_close, caller))  # also if it never ran

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._room.release()
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("a_relayed_call_failed", exc_info=error)

    async def _serve(self, caller: socket.socket) -> None:
        """One call; a caller that says nothing costs the sandbox none of its connections."""
        loop = asyncio.get_running_loop()
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(FIRST_BYTE_SECONDS):
                first = await loop.sock_recv(caller, CHUNK)
            if not first:
                return
            async with asyncio.timeout(SPARE_SECONDS):
                spare = await self._spare()
            with contextlib.closing(spare):
                await loop.sock_sendall(spare, first)
                await _both_ways(caller, spare)

    async def _spare(self) -> socket.socket:
        """A connection that the runner dialled and has not given up."""
        async with self._spare_came:
            while True:
                while self._spares:
                    spare = self._spares.pop(0)
                    if _still_there(spare):
                        return spare
                await self._spare_came.wait()


def _duplicate(listener: socket.socket) -> socket.socket:
    copy = listener.dup()
    copy.setblocking(False)
    return copy


async def _accepted(listener: socket.socket) -> socket.socket:
    """The next connection; OSError when the listener itself is no more.

    The loop's own way to accept would lose one that comes while it is cancelled.
    """
    while True:
        try:
            sock, _ = listener.accept()
        except BlockingIOError:
            await _readable(listener)
            continue
        except OSError as error:
            if error.errno not in SHORT:
                raise
            await asyncio.sleep(PAUSE_SECONDS)
            continue
        sock.setblocking(False)
        return sock


def _close(sock: socket.socket, _: asyncio.Task[None]) -> None:
    sock.close()


async def _readable(sock: socket.socket) -> None:
    came = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(sock, came.set)
    try:
        await came.wait()
    finally:
        loop.remove_reader(sock)


def _still_there(spare: socket.socket) -> bool:
    """False, and closed, for one that ended or spoke before it was asked."""
    try:
        spare.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return True
    except OSError:
        pass
    spare.close()
    return False


async def _both_ways(one: socket.socket, other: socket.socket) -> None:
    """Carry until both have ended; when one breaks, both are over."""
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(_carry(one, other))
            group.create_task(_carry(other, one))
    except* OSError:
        pass  # whoever is still there sees its connection close


async def _carry(source: socket.socket, target: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    while data := await loop.sock_recv(source, CHUNK):
        await loop.sock_sendall(target, data)
    target.shutdown(socket.SHUT_WR)
