"""Numbers that anybody may see: found out now and then, however many ask."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from gateway.errors import SandgateError

T = TypeVar("T")

APIS_SECONDS = 60.0
CALLS_SECONDS = 5.0


class Remembered(Generic[T]):
    """One number. While it cannot be found out, what was known last is told."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._known: tuple[T] | None = None
        self._until = 0.0
        self._asking: asyncio.Task[T] | None = None

    async def get(self, find_out: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """At most one finds it out at a time; raises only what was never known."""
        if self._known is not None and self._clock() < self._until:
            return self._known[0]
        if self._asking is None:
            self._asking = asyncio.create_task(find_out())
            self._asking.add_done_callback(self._asked)
        try:
            return await asyncio.shield(self._asking)
        except SandgateError:
            if self._known is None:
                raise
            return self._known[0]

    def _asked(self, task: asyncio.Task[T]) -> None:
        self._asking = None
        self._until = self._clock() + self._seconds
        if not task.cancelled() and task.exception() is None:
            self._known = (task.result(),)


@dataclass(frozen=True, slots=True)
class PublicNumbers:
    """What is remembered of them by one gateway."""

    apis_active: Remembered[int] = field(default_factory=lambda: Remembered(APIS_SECONDS))
    calls: Remembered[dict[str, int]] = field(default_factory=lambda: Remembered(CALLS_SECONDS))
