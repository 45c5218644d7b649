"""What one gateway knows of the shared counters, and what it may admit while it is alone.

Known is what the store answered last, or the database told: a total and when it was so. It is
held against the caller in full until a whole window has passed. On top, every call admitted
alone counts once for each gateway: if all of them do the same, what is left is not exceeded.
Those calls are a debt that is paid into the store as soon as it is back.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.limits.policy import KINDS, Failure
from gateway.limits.types import Decision, Limit, LimitState, LimitsUnavailableError, Window
from gateway.limits.window import BUCKETS

_WINDOWS = tuple(Window)
_FRESH_SECONDS = 2  # about what lies between an answer and its row in the database


def width_of(window: Window) -> int:
    """Seconds of one bucket."""
    return window.seconds // BUCKETS


@dataclass(frozen=True, slots=True)
class Debt:
    """Calls of one counter in the order the store wants them: newest bucket first."""

    subject: str
    window: Window
    buckets: tuple[tuple[int, int], ...]

    @property
    def total(self) -> int:
        """How many calls."""
        return sum(count for _, count in self.buckets)


class Shadow:
    """Knowledge and debts. Memory: a pair of numbers for each counter used within its window."""

    def __init__(
        self, clock: Callable[[], float], failure: Mapping[str, Failure] | None = None
    ) -> None:
        self._clock = clock
        self._failure = failure or dict.fromkeys(KINDS, Failure.SHARE)
        self.gateways = 1
        self.is_informed = False  # whether the database was asked since the store went away
        self._young: dict[Window, dict[str, tuple[int, int]]] = {w: {} for w in _WINDOWS}
        self._old: dict[Window, dict[str, tuple[int, int]]] = {w: {} for w in _WINDOWS}
        self._since = dict.fromkeys(_WINDOWS, int(clock()))
        self._debts: dict[tuple[str, Window], dict[int, int]] = {}

    def __len__(self) -> int:
        """How many counters are known."""
        return sum(len(known[w]) for known in (self._young, self._old) for w in _WINDOWS)

    @property
    def has_debts(self) -> bool:
        """Whether the store has calls to learn of."""
        return bool(self._debts)

    def learn(self, limit: Limit, total: int, second: int) -> None:
        """The store's own answer: the newest there is."""
        self._young[limit.window][limit.subject] = (total, second)

    def raise_to(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Take over what the database counted, where it is more.

        `Any`: rows as the database sends them: subject, window, bucket, count.
        """
        second = int(self._clock())
        totals: dict[tuple[str, Window], int] = {}
        for row in rows:
            pair = row["subject"], Window(row["window"])
            if row["bucket"] < second // width_of(pair[1]) - BUCKETS:
                continue
            totals[pair] = totals.get(pair, 0) + row["count"]
        for (subject, window), total in totals.items():
            if total > (self._known(subject, window, second) or 0):
                self._young[window][subject] = (total, second)
        self.is_informed = True

    def rotate(self) -> None:
        """Forget what has left its window; to be called now and then."""
        second = int(self._clock())
        for window in _WINDOWS:
            if second >= self._since[window] + _kept(window):
                self._since[window] = second
                self._old[window], self._young[window] = self._young[window], {}

    def may_decide(self, limits: Sequence[Limit]) -> bool:
        """Whether it would not refuse to."""
        second = int(self._clock())
        try:
            for limit in limits:
                self._state(limit, second)
        except LimitsUnavailableError:
            return False
        return True

    def decide(self, limits: Sequence[Limit]) -> Decision:
        """Decide alone. Raises `LimitsUnavailableError` where that is not allowed."""
        second = int(self._clock())
        full = [state for limit in limits if (state := self._state(limit, second)) is not None]
        if full:
            return Decision(False, tuple(full), tuple(full), degraded=True)
        for limit in limits:
            buckets = self._debts.setdefault((limit.subject, limit.window), {})
            bucket = second // width_of(limit.window)
            buckets[bucket] = buckets.get(bucket, 0) + 1
        return Decision(True, (), degraded=True)

    def forgive(self, limits: Sequence[Limit]) -> None:
        """The store counted one of these calls after all."""
        for limit in limits:
            buckets = self._debts.get((limit.subject, limit.window))
            if buckets:
                newest = max(buckets)
                buckets[newest] -= 1
                if not buckets[newest]:
                    del buckets[newest]
                if not buckets:
                    del self._debts[limit.subject, limit.window]

    def debts(self) -> list[Debt]:
        """What has to be paid in."""
        return [
            Debt(subject, window, tuple(sorted(buckets.items(), reverse=True)))
            for (subject, window), buckets in self._debts.items()
        ]

    def paid(self, debts: Sequence[Debt]) -> None:
        """The store has them; from now on they are part of what is known."""
        second = int(self._clock())
        for debt in debts:
            held = self._debts.get((debt.subject, debt.window), {})
            for bucket, count in debt.buckets:
                if held.get(bucket, 0) > count:
                    held[bucket] -= count
                else:
                    held.pop(bucket, None)
            if not held:
                self._debts.pop((debt.subject, debt.window), None)
            known = self._known(debt.subject, debt.window, second) or 0
            self._young[debt.window][debt.subject] = (known + debt.total, second)

    def known(self) -> Iterator[Debt]:
        """All that is known, each total in the bucket in which it was seen last."""
        second = int(self._clock())
        for window in _WINDOWS:
            for subject in {**self._old[window], **self._young[window]}:
                total, seen = self._young[window].get(subject) or self._old[window][subject]
                if total and second < seen + _kept(window):
                    yield Debt(subject, window, ((seen // width_of(window), total),))

    def told(self) -> list[Debt]:
        """What a store without memory must count at least: all that is known and, for each
        gateway, as many calls as this one admitted alone. The database may have some of these
        calls, so they are no sums to add, but totals to reach.
        """
        second = int(self._clock())
        totals = {(known.subject, known.window): dict(known.buckets) for known in self.known()}
        for (subject, window), owed in self._debts.items():
            buckets = totals.setdefault((subject, window), {})
            for bucket, count in owed.items():
                buckets[bucket] = buckets.get(bucket, 0) + count * self.gateways
        return [
            Debt(subject, window, tuple(sorted(buckets.items(), reverse=True)))
            for (subject, window), buckets in totals.items()
            if max(buckets, default=0) >= second // width_of(window) - BUCKETS
        ]

    def _state(self, limit: Limit, second: int) -> LimitState | None:
        """The limit when it is full for this gateway; None when a call is free."""
        policy = self._failure[limit.subject.partition(":")[0]]
        if policy is Failure.ALLOW:
            return None
        is_blind = policy is Failure.SHARE and self.gateways > 1
        if policy is Failure.DENY or is_blind or not self._may_judge(limit, second):
            raise LimitsUnavailableError
        known = self._known(limit.subject, limit.window, second)
        debt = self._debt(limit, second)
        if (known or 0) + (debt + 1) * self.gateways <= limit.quantity:
            return None
        return LimitState(limit, 0, self._reset(limit, second))

    def _may_judge(self, limit: Limit, second: int) -> bool:
        """Whether what is known is new enough: as new as what the database would tell.

        The only gateway there is knows of every call since it saw the limit first.
        """
        if self.is_informed:
            return True
        found = self._found(limit.subject, limit.window)
        return found is not None and (self.gateways == 1 or second <= found[1] + _FRESH_SECONDS)

    def _found(self, subject: str, window: Window) -> tuple[int, int] | None:
        return self._young[window].get(subject) or self._old[window].get(subject)

    def _known(self, subject: str, window: Window, second: int) -> int | None:
        found = self._found(subject, window)
        if found is None or second >= found[1] + _kept(window):
            return None
        return found[0]

    def _debt(self, limit: Limit, second: int) -> int:
        buckets = self._debts.get((limit.subject, limit.window))
        if not buckets:
            return 0
        first = second // width_of(limit.window) - BUCKETS
        for bucket in [bucket for bucket in buckets if bucket < first]:
            del buckets[bucket]
        return sum(buckets.values())

    def _reset(self, limit: Limit, second: int) -> int:
        """Seconds until something is free, at the latest: when the oldest part leaves."""
        width = width_of(limit.window)
        ends = [(bucket + BUCKETS + 1) * width for bucket in self._debts_of(limit)]
        found = self._found(limit.subject, limit.window)
        if found is not None and found[0]:
            ends.append(found[1] + _kept(limit.window))
        return max(1, min([end for end in ends if end > second], default=second) - second)

    def _debts_of(self, limit: Limit) -> Mapping[int, int]:
        return self._debts.get((limit.subject, limit.window), {})


def _kept(window: Window) -> int:
    """Seconds for which what was counted may still matter: the window and the bucket it began in.

    One second more, for the clock is read in whole ones.
    """
    return window.seconds + width_of(window) + 1
