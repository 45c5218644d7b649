"""Freezing and thawing of one sandbox, so that the two can race and the lease always wins."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from sandbox.runtimes.base import Handle, RuntimeUnavailableError

_SECONDS = 5.0


class Frost:
    """One engine request at a time.

    `frozen` is set before the engine is asked to freeze and cleared after it has thawed, so
    whoever reads False may send calls, and whoever reads True thaws first and waits here for a
    freeze that is under way.
    """

    def __init__(self) -> None:
        self.frozen = False
        self.refused = False  # the engine could not; it is not asked again
        self._lock = asyncio.Lock()

    async def freeze(self, handle: Handle, still_wanted: Callable[[], bool]) -> bool:
        """Freeze unless somebody got a lease meanwhile; whether it is frozen now.

        RuntimeUnavailableError when the engine does not; it is thawed again then, or
        `frozen` stays set.
        """
        async with self._lock:
            if self.frozen or self.refused or not still_wanted():
                return self.frozen
            self.frozen = True
            try:
                await _bounded(handle.freeze)
            except RuntimeUnavailableError:
                self.refused = True
                await self._thaw(handle)
                raise
            return True

    async def thaw(self, handle: Handle) -> bool:
        """Let it go on; whether it was frozen. RuntimeUnavailableError when it cannot."""
        async with self._lock:
            was_frozen = self.frozen
            if was_frozen:
                await self._thaw(handle)
            return was_frozen

    async def _thaw(self, handle: Handle) -> None:
        await _bounded(handle.thaw)
        self.frozen = False

    @asynccontextmanager
    async def undisturbed(self) -> AsyncIterator[None]:
        """Nothing is frozen or thawed while this lasts, and nothing is frozen afterwards."""
        async with self._lock:
            self.refused = True
            yield


async def _bounded(work: Callable[[], Awaitable[None]]) -> None:
    try:
        async with asyncio.timeout(_SECONDS):
            await work()
    except TimeoutError:
        raise RuntimeUnavailableError("the engine did not answer in time") from None
