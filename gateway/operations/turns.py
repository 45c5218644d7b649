"""Changes that start an API anew happen one after the other, within this process."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary

from gateway.errors import UnavailableError

_SECONDS = 60.0


class ApiBusyError(UnavailableError):
    """Another change of the same API is still starting its code."""

    code, title = "api_busy", "Another change of this API is under way"


class Turns:
    """One lock for each API that is being changed.

    Two changes at once would rehearse the same generation with different contents. Between
    processes the database decides: a generation is given once.
    """

    def __init__(self, seconds: float = _SECONDS) -> None:
        self._seconds = seconds
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
            yield
        finally:
            lock.release()

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
