"""Which sandboxes stay on few processors: those that ask for more than their share. Pure.

A share of one processor may be used up on all of them at once. While that lasts every processor
is busy, and whoever wakes waits for the kernel's next tick. Kept to as many processors as it has
shares of, a sandbox gets no less, and the others stay free for calls.
"""

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass

from sandbox.runtimes.base import Throttling

GREEDY = 0.2  # of its periods in which it was stopped, having used up its share
REST_SECONDS = 30.0  # so long it must have been content to be let go


@dataclass(slots=True)
class _Watched:
    seen: Throttling
    greedy_at: float = -math.inf
    cores: frozenset[int] | None = None


class Confinement:
    """Remembers what each sandbox was seen to want; `cores` are the processors there are."""

    def __init__(self, cores: Collection[int], clock: Callable[[], float]) -> None:
        self._cores = sorted(cores)
        self._clock = clock
        self._watched: dict[str, _Watched] = {}

    @property
    def is_of_use(self) -> bool:
        """Not where there is but one processor."""
        return len(self._cores) > 1

    def judge(self, sandbox_id: str, now: Throttling, cpus: float) -> frozenset[int] | None:
        """The processors it is to be kept to from now on; None leaves it as it is."""
        watched = self._watched.get(sandbox_id)
        if watched is None:
            self._watched[sandbox_id] = _Watched(now)
            return None
        if _is_greedy(watched.seen, now):
            watched.greedy_at = self._clock()
        watched.seen = now
        if self._clock() - watched.greedy_at <= REST_SECONDS:
            watched.cores = watched.cores or self._free(cpus)
            return watched.cores  # said again: who was just born may have been missed
        released, watched.cores = watched.cores, None
        return frozenset(self._cores) if released else None

    def keep(self, living: Collection[str]) -> None:
        """Forget all others."""
        for sandbox_id in self._watched.keys() - living:
            del self._watched[sandbox_id]

    def is_confined(self, sandbox_id: str) -> bool:
        """Whether it is kept to few."""
        watched = self._watched.get(sandbox_id)
        return watched is not None and watched.cores is not None

    def _free(self, cpus: float) -> frozenset[int] | None:
        """As many as it has shares of, those with the fewest others on them."""
        needed = max(1, math.ceil(cpus))
        if needed >= len(self._cores):
            return None
        users = dict.fromkeys(self._cores, 0)
        for watched in self._watched.values():
            for core in watched.cores or ():
                users[core] += 1
        return frozenset(sorted(self._cores, key=lambda core: users[core])[:needed])


def _is_greedy(before: Throttling, now: Throttling) -> bool:
    periods = now.periods - before.periods
    return periods > 0 and now.throttled - before.throttled >= GREEDY * periods
