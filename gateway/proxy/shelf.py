"""Keeps what was made of versions' documents, as much as there is room for."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Generic, NamedTuple, TypeVar

K = TypeVar("K")
V = TypeVar("V")
_UNSURE_SECONDS = 10.0  # until what was not there yet is looked at again


class Made(NamedTuple, Generic[V]):
    """A value, how many bytes it weighs, and whether it can never change."""

    value: V
    size: int
    is_final: bool = True


class Shelf(Generic[K, V]):
    """Makes each value once however many ask; the least recently used goes first."""

    def __init__(
        self,
        make: Callable[[K], Awaitable[Made[V]]],
        *,
        room: int,
        clock: Callable[[], float],
    ) -> None:
        self._make = make
        self._room = room
        self._clock = clock
        self._known: OrderedDict[K, tuple[V, int, float]] = OrderedDict()
        self._making: dict[K, asyncio.Task[V]] = {}

    async def get(self, key: K) -> V:
        """The value; what making it raises passes through."""
        known = self._known.get(key)
        if known is not None and known[2] > self._clock():
            self._known.move_to_end(key)
            return known[0]
        task = self._making.get(key)
        if task is None:
            task = self._making[key] = asyncio.create_task(self._fill(key))
            task.add_done_callback(lambda ended: self._ended(key, ended))
        return await asyncio.shield(task)  # it outlives a caller who leaves

    def _ended(self, key: K, task: "asyncio.Task[V]") -> None:
        self._making.pop(key, None)
        if not task.cancelled():
            task.exception()  # looked at here, in case every caller has left

    async def _fill(self, key: K) -> V:
        value, size, is_final = await self._make(key)
        until = float("inf") if is_final else self._clock() + _UNSURE_SECONDS
        old = self._known.pop(key, None)
        self._room += old[1] if old else 0
        self._known[key] = value, size, until
        self._room -= size
        while self._room < 0 and self._known:
            _, (_, gone, _) = self._known.popitem(last=False)
            self._room += gone
        return value
