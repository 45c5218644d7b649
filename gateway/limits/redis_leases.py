"""Calls counted ahead of their arrival: one trip to the store for many calls. Off by default.

They were counted before they are used, so the limit holds whatever happens to them. They are
good only within the bucket in which the store counted them, and a second at most: used later,
they would leave the window before a whole one has passed since the call.
"""

from collections.abc import Callable, Sequence

from gateway.limits.redis_ask import ADMITTED_AHEAD, LEASE_SECONDS, Ask, Lease
from gateway.limits.redis_wire import Reply
from gateway.limits.types import Decision, Limit, LimitState

GiveBack = Callable[[Lease], None]


class Leases:
    """What this gateway holds, by the very object that the limits are."""

    def __init__(self, give_back: GiveBack, clock: Callable[[], float], size: int) -> None:
        self._give_back = give_back
        self._clock = clock
        self._size = size  # calls in one trip at most; below 2 nothing is leased
        self._held: dict[int, tuple[Sequence[Limit], Lease]] = {}
        self._asked: dict[int, float] = {}  # when each was asked for last
        self._pending: set[int] = set()

    def take(self, limits: Sequence[Limit]) -> Decision | None:
        """A call that is counted already; None when there is none."""
        if not self._held:
            return None
        found = self._held.get(id(limits))
        if found is None or found[0] is not limits:
            return None
        lease = found[1]
        if self._clock() >= lease.until:
            self._end(id(limits))
            return None
        decision = lease.take()
        if not lease.left:
            del self._held[id(limits)]
        return decision

    def want(self, ask: Ask) -> None:
        """Ask for some besides: none for limits that are rarely asked for."""
        if self._size < 2 or ask.charge is not None:
            return
        name, now = id(ask.plan.limits), self._clock()
        last = self._asked.get(name)
        self._asked[name] = now
        if last is None or now - last > LEASE_SECONDS or name in self._pending:
            return
        self._pending.add(name)
        ask.leased_at, ask.ahead = now, self._size - 1

    def answered(self, ask: Ask, reply: Reply, states: tuple[LimitState, ...], epoch: str) -> None:
        """Hold what was given. Too late it goes back: the same room may have been used alone."""
        limits = ask.plan.limits
        self._pending.discard(id(limits))
        if reply[0] != ADMITTED_AHEAD or ask.leased_at is None:
            return
        lease = Lease(epoch, reply, states, ask.leased_at)
        if ask.is_late:
            self._give_back(lease)
        else:
            self._held[id(limits)] = limits, lease

    def forget_asked(self) -> None:
        """Answers may never come."""
        self._pending.clear()

    def sweep(self, *, everything: bool = False) -> None:
        """Give back what is over, and forget who has not asked for long."""
        now = self._clock()
        for name, (_, lease) in list(self._held.items()):
            if everything or now >= lease.until:
                self._end(name)
        self._asked = {n: at for n, at in self._asked.items() if now - at <= LEASE_SECONDS}

    def _end(self, name: int) -> None:
        _, lease = self._held.pop(name)
        if lease.left:
            self._give_back(lease)
