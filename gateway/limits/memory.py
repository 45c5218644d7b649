"""Limiter in the memory of one process: exact for all calls that go through it."""

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gateway.limits.decision import decide, states_of
from gateway.limits.types import Decision, Limit, LimitState, Window
from gateway.limits.window import WindowCounter

_LOOKS_PER_NEW = 2  # counters looked at for each new one, so idle ones die out


class MemoryLimiter:
    """Counters by window and subject. Not shared: two processes admit twice as much.

    `admit` never yields to the event loop, so calls that arrive together are decided one
    after the other.

    Time is the latest the clock has shown. A clock set back by `d` stops the windows for `d`:
    nothing is over-admitted, and calls may be refused up to `d` longer. A clock set forward
    ends windows early: what it skipped may be admitted again, at most one more quantity per
    jump. `steady_clock` does not jump either way; use it.

    Memory is bounded by about twice the subjects that call within their window.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._latest = 0
        self._counters: dict[Window, dict[str, WindowCounter]] = {w: {} for w in Window}
        self._round: deque[tuple[Window, str]] = deque()  # every counter, next to look at first

    def __len__(self) -> int:
        """How many counters are held."""
        return sum(map(len, self._counters.values()))

    async def admit(self, limits: Sequence[Limit]) -> Decision:
        """Count the call in every window, or in none."""
        second = self._second()
        return decide(limits, [self._counter(limit, second) for limit in limits], second)

    async def usage_of(self, limits: Sequence[Limit]) -> tuple[LimitState, ...]:
        """Where these limits stand, without counting a call."""
        second = self._second()
        return states_of(limits, [self._counter(limit, second) for limit in limits], second)

    def restore(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Take over what `rate_limit_counts` answers; once, before the first call.

        `Any`: rows as the database sends them: subject, window, bucket, count.
        """
        second = self._second()
        for row in rows:
            counter = self._held(Window(row["window"]), row["subject"], second)
            counter.restore(row["bucket"], row["count"])

    def _second(self) -> int:
        """The present in whole seconds, never earlier than before."""
        second = int(self._clock())
        if second > self._latest:
            self._latest = second
        return self._latest

    def _counter(self, limit: Limit, second: int) -> WindowCounter:
        """The counter of this limit, moved on to the present."""
        counter = self._counters[limit.window].get(limit.subject)
        if counter is None:
            return self._held(limit.window, limit.subject, second)
        counter.advance(second)
        return counter

    def _held(self, window: Window, subject: str, second: int) -> WindowCounter:
        """The counter that is held, or a new one."""
        counters = self._counters[window]
        if subject not in counters:
            self._drop_idle(second)
            counters[subject] = WindowCounter(window.seconds, second)
            self._round.append((window, subject))
        return counters[subject]

    def _drop_idle(self, second: int) -> None:
        """Look at the next counters in turn. One in use by this very decision is never idle."""
        for _ in range(min(_LOOKS_PER_NEW, len(self._round))):
            window, subject = self._round.popleft()
            if self._counters[window][subject].is_idle(second):
                del self._counters[window][subject]
            else:
                self._round.append((window, subject))
