"""A bounded memory of loaded values that also remembers what does not exist."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import structlog

from gateway.deadline import within
from gateway.errors import SandgateError, UnavailableError
from gateway.store.route_check import BrokenRouteError

_log = structlog.get_logger(__name__)

K = TypeVar("K")
V = TypeVar("V")

FRESH_SECONDS = 60.0  # bounds how long a lost notification can matter
STALE_SECONDS = 3600.0  # how long a value goes on while the database is down
RETRY_SECONDS = 1.0  # between two attempts to reach a database that is down, per key
LOAD_SECONDS = 2.0
MAX_LOADS = 1000


@dataclass(slots=True)
class Entry(Generic[V]):
    """A loaded value; None says that there is none. `is_current` ends with an invalidation."""

    value: V | None
    loaded_at: float
    fresh_until: float
    is_current: bool = True
    tags: tuple[str, ...] = ()


class _Loading(Generic[K, V]):
    """A load under way, and every invalidation that came in while it was."""

    def __init__(self) -> None:
        self.doubts: list[Callable[[K, V | None], bool]] = []
        self.doubted_tags: set[str] = set()
        self.task: asyncio.Task[V | None] | None = None


class LoadingCache(Generic[K, V]):
    """Loads each key once however many ask, and forgets the least recently used.

    Past its time a value is still served while it is loaded again in the background. After
    an invalidation callers wait for the new value, and only a database that is down brings
    the old one back. A load that an invalidation overtook is never stored.

    `tags` names what a value depends on, so that a change finds it without looking at all.
    """

    def __init__(
        self,
        load: Callable[[K], Awaitable[V | None]],
        *,
        clock: Callable[[], float],
        size: int = 20_000,
        tags: Callable[[K, V | None], tuple[str, ...]] | None = None,
    ) -> None:
        self._load = load
        self._tags = tags or _no_tags
        self._tagged: dict[str, set[K]] = {}
        self._clock = clock
        self._size = size
        self._entries: OrderedDict[K, Entry[V]] = OrderedDict()
        self._loading: dict[K, _Loading[K, V]] = {}  # may be joined
        self._running: set[_Loading[K, V]] = set()
        self._tasks: set[asyncio.Task[V | None]] = set()

    def __len__(self) -> int:
        return len(self._entries)

    def fresh(self, key: K) -> Entry[V] | None:
        """The entry when it may be used without asking anyone; the warm path."""
        entry = self._entries.get(key)
        if entry is None or not entry.is_current or entry.fresh_until <= self._clock():
            return None
        self._entries.move_to_end(key)
        return entry

    async def get(self, key: K) -> V | None:
        """The value, None when there is none; UnavailableError when nobody can tell."""
        entry = self._entries.get(key)
        if entry is not None:
            if entry.fresh_until > self._clock():
                return entry.value
            if entry.is_current and self._may_be_stale(entry):
                self._refresh(key)
                return entry.value
        return await asyncio.shield(self._start(key))  # it outlives a caller who leaves

    def invalidate(self, stale: Callable[[K, V | None], bool]) -> None:
        """Distrust every entry, and every load under way, for which `stale` says so."""
        for key, entry in self._entries.items():
            if stale(key, entry.value):
                self._distrust(entry)
        for loading in self._running:
            loading.doubts.append(stale)
        self._loading = {}  # who asks from now on gets a load that starts now

    def invalidate_tagged(self, *tags: str) -> None:
        """The same for every value with one of these tags."""
        for tag in tags:
            for key in tuple(self._tagged.get(tag, ())):
                self._untag(key, entry := self._entries[key])
                self._distrust(entry)
        for loading in self._running:
            loading.doubted_tags.update(tags)
        self._loading = {}

    def last(self, key: K) -> V | None:
        """What was known of it last, however old, trusted or not."""
        entry = self._entries.get(key)
        return None if entry is None else entry.value

    @staticmethod
    def _distrust(entry: Entry[V]) -> None:
        entry.is_current = False
        entry.fresh_until = 0.0

    def _untag(self, key: K, entry: Entry[V]) -> None:
        for tag in entry.tags:
            keys = self._tagged.get(tag)
            if keys is not None:
                keys.discard(key)
                if not keys:
                    del self._tagged[tag]
        entry.tags = ()

    def _refresh(self, key: K) -> None:
        """Load in the background, unless too much of that goes on."""
        if len(self._tasks) < MAX_LOADS:
            _ = self._start(key)

    def _start(self, key: K) -> "asyncio.Task[V | None]":
        """The load of this key that is under way, or a new one."""
        loading = self._loading.get(key)
        if loading is not None and loading.task is not None:
            return loading.task
        if len(self._tasks) >= MAX_LOADS:
            raise UnavailableError("Too many new addresses at once; try again.")
        loading = self._loading[key] = _Loading()
        self._running.add(loading)
        loading.task = task = asyncio.create_task(self._fill(key, loading))
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        return task

    def _finished(self, task: "asyncio.Task[V | None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.warning("look_up_failed", error=repr(error), cause=repr(error.__cause__))

    async def _fill(self, key: K, loading: _Loading[K, V]) -> V | None:
        try:
            value = await within(LOAD_SECONDS, self._load(key))
        except BrokenRouteError:
            raise  # what was known before must not be served in its place
        except (SandgateError, TimeoutError) as error:
            return self._fall_back(key, error)
        finally:
            self._running.discard(loading)
            if self._loading.get(key) is loading:
                del self._loading[key]
        tags = self._tags(key, value)
        doubted = any(doubt(key, value) for doubt in loading.doubts)
        if not doubted and loading.doubted_tags.isdisjoint(tags):
            self._store(key, value, tags)
        return value

    def _store(self, key: K, value: V | None, tags: tuple[str, ...]) -> None:
        now = self._clock()
        before = self._entries.get(key)
        if before is not None:
            self._untag(key, before)
        self._entries[key] = Entry(value, now, now + FRESH_SECONDS, tags=tags)
        self._entries.move_to_end(key)
        for tag in tags:
            self._tagged.setdefault(tag, set()).add(key)
        if len(self._entries) > self._size:
            self._untag(*self._entries.popitem(last=False))

    def _fall_back(self, key: K, error: Exception) -> V | None:
        """What was known before, while the database is down."""
        entry = self._entries.get(key)
        if entry is None or not self._may_be_stale(entry):
            raise UnavailableError("This address cannot be looked up; try again.") from error
        entry.fresh_until = self._clock() + RETRY_SECONDS
        return entry.value

    def _may_be_stale(self, entry: Entry[V]) -> bool:
        return self._clock() - entry.loaded_at <= STALE_SECONDS


def _no_tags(_key: object, _value: object) -> tuple[str, ...]:
    """Found by nothing but a look at all."""
    return ()
