"""Limiter in the memory of one process: exact for all calls that go through it."""

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gateway.limits.credit import Credits
from gateway.limits.decision import decide, refusal, states_of
from gateway.limits.types import Charge, Decision, Limit, LimitState, Window
from gateway.limits.window import WindowCounter

_LOOKS_PER_NEW = 2  # counters looked at for each new one, so idle ones die out


class MemoryLimiter:
    """Counters by window and subject. Not shared: two processes admit twice as much.

    A decision never yields to the event loop, so calls that arrive together are decided one
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
        self._credits = Credits()

    def __len__(self) -> int:
        """How many counters are held."""
        return sum(map(len, self._counters.values()))

    def decide(self, limits: Sequence[Limit], charge: Charge | None = None) -> Decision:
        """Count the call in every window and reserve its price, or do nothing of it."""
        second = self._second()
        counters = [self._counter(limit, second) for limit in limits]
        if charge is None:
            return decide(limits, counters, second)
        refused = refusal(limits, counters, second) or self._unpaid(limits, counters, charge)
        if refused is not None:
            return refused
        self._credits.spend(charge)
        return decide(limits, counters, second)

    async def admit(self, limits: Sequence[Limit], charge: Charge | None = None) -> Decision:
        """The same, for those who wait for any limiter."""
        return self.decide(limits, charge)

    def refund(self, charge: Charge) -> None:
        """Give a reservation back that is not kept."""
        self._credits.refund(charge)

    async def set_credit(self, account: str, granted: int, spent: int) -> None:
        """What an account was ever granted; and what it spent, where that is not known yet."""
        self._credits.set(account, granted, spent, self._second())

    @property
    def degraded(self) -> str | None:
        """Never: there is no store that could be missing."""
        return None

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

    def _unpaid(
        self, limits: Sequence[Limit], counters: Sequence[WindowCounter], charge: Charge
    ) -> Decision | None:
        """Why the price cannot be reserved; None when it can."""
        balance = self._credits.balance(charge.account, self._latest)
        if balance is not None and balance >= charge.amount:
            return None
        states = states_of(limits, counters, self._latest)
        is_unknown = balance is None
        return Decision(False, states, no_credit=not is_unknown, unknown_credit=is_unknown)

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
