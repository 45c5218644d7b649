"""Changes that start an API anew happen one after the other, whichever gateway makes them."""

import asyncio
import fcntl
import os
import struct
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import blake2b
from pathlib import Path
from weakref import WeakValueDictionary

from gateway.errors import UnavailableError

_SECONDS = 60.0
_LOOK_SECONDS = 0.02


class ApiBusyError(UnavailableError):
    """Another change of the same API is still starting its code."""

    code, title = "api_busy", "Another change of this API is under way"


class Turns:
    """One lock for each API that is being changed.

    Two changes at once would rehearse the same generation with different contents, and one
    would take the other's sandbox for the rest of an attempt that failed. The gateways of a
    machine share its sandboxes, so they share `folder` too: in a file there each API has a byte
    that is locked. The kernel frees it when its holder dies. Between machines the database
    decides: a generation is given once.
    """

    def __init__(self, seconds: float = _SECONDS, folder: Path | None = None) -> None:
        self._seconds = seconds
        self._folder = folder
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._waiting: Counter[str] = Counter()

    def waiting(self, api_id: str) -> int:
        """How many changes of this API wait for their turn now."""
        return self._waiting[api_id]

    @asynccontextmanager
    async def of(self, api_id: str) -> AsyncIterator[None]:
        """Wait for this API's turn; ApiBusyError when it takes too long."""
        lock = self._locks.get(api_id)
        if lock is None:
            lock = self._locks[api_id] = asyncio.Lock()
        await self._acquire(lock, api_id)
        try:
            held = await self._between_processes(api_id)
            try:
                yield
            finally:
                if held is not None:
                    os.close(held)  # frees the byte
        finally:
            lock.release()

    async def _between_processes(self, api_id: str) -> int | None:
        """The descriptor that holds this API's byte."""
        if self._folder is None:
            return None
        self._folder.mkdir(mode=0o700, exist_ok=True)
        descriptor = os.open(self._folder / "turns", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            async with asyncio.timeout(self._seconds):
                while not _lock(descriptor, api_id):  # noqa: ASYNC110 - another process holds it
                    await asyncio.sleep(_LOOK_SECONDS)
        except BaseException as error:
            os.close(descriptor)
            if isinstance(error, TimeoutError):
                raise ApiBusyError(retry_after=5) from error
            raise
        return descriptor

    async def _acquire(self, lock: asyncio.Lock, api_id: str) -> None:
        self._waiting[api_id] += 1
        try:
            async with asyncio.timeout(self._seconds):
                await lock.acquire()
        except TimeoutError as error:
            raise ApiBusyError(retry_after=5) from error
        finally:
            self._waiting[api_id] -= 1
            if not self._waiting[api_id]:
                del self._waiting[api_id]


def _lock(descriptor: int, api_id: str) -> bool:
    """Whether this API's byte is ours now. The lock belongs to the open file, not the process."""
    offset = int.from_bytes(blake2b(api_id.encode(), digest_size=7).digest())
    wanted = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, offset, 1, 0)
    try:
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, wanted)
    except BlockingIOError:
        return False
    return True
