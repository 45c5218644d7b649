"""One question to the store: the command, made from parts that are ready, and the answer.

Calls of one turn of the loop with the same limits are one question: the store counts as many of
them as fit, and they are let in in the order in which they came.
"""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Protocol

from gateway.limits import redis_keys
from gateway.limits.redis_script import Script
from gateway.limits.redis_shadow import width_of
from gateway.limits.redis_wire import Reply, Word, command, part
from gateway.limits.types import Charge, Decision, Limit, LimitState

_PLANS_MAX = 20_000
LEASE_SECONDS = 1.0  # at most; then what is left is given back
FULL, ADMITTED, NO_CREDIT, ADMITTED_AHEAD, SOME_ADMITTED = 0, 1, 2, 4, 5  # the script's answers


class Plan:
    """What is sent for these limits. The same limits are one object in the call path."""

    __slots__ = ("_after", "_before", "_epoch", "_priced", "_script", "limits")

    def __init__(self, limits: Sequence[Limit], script: Script, epoch: str) -> None:
        self.limits = limits
        self._script = script
        self._epoch = epoch
        head, tail = self._head(None), self._tail()
        self._before = b"*%d\r\n" % (len(head) + 2 + len(tail)) + part(*head)
        self._after = part(*tail)
        self._priced: tuple[Charge, bytes] | None = None

    def command(self, calls: int, ahead: int = 0) -> bytes:
        """The decision for so many calls, and so many more that are counted already, as RESP."""
        return self._before + part(calls, ahead) + self._after

    def command_priced(self, charge: Charge) -> bytes:
        """The decision for one call that has a price."""
        if self._priced is None or self._priced[0] != charge:
            self._priced = charge, command(*self._head(charge), 1, 0, *self._tail())
        return self._priced[1]

    def command_in_full(self, charge: Charge | None, calls: int) -> bytes:
        """The same with the script itself, for a store that does not know it."""
        return command(*self._head(charge, text=True), calls, 0, *self._tail())

    def look(self) -> list[Word]:
        """A decision that counts nothing, word by word."""
        return [*self._head(None, price="look"), 1, 0, *self._tail()]

    def _head(self, charge: Charge | None, *, price: Word = 0, text: bool = False) -> list[Word]:
        keys = [redis_keys.EPOCH, *map(redis_keys.counter_of, self.limits)]
        if charge is not None:
            keys.append(redis_keys.balance(charge.account))
            price = charge.amount
        name = ("EVAL", self._script.text) if text else ("EVALSHA", self._script.digest)
        return [*name, len(keys), *keys, self._epoch, len(self.limits), price]

    def _tail(self) -> list[Word]:
        words: list[Word] = []
        for limit in self.limits:
            words += [width_of(limit.window), limit.quantity]
        return words


class Lease:
    """Calls counted ahead in one trip, good within the bucket they were counted in."""

    __slots__ = ("buckets", "epoch", "left", "states", "until")

    def __init__(self, epoch: str, reply: list[int], states: tuple[LimitState, ...], sent: float):
        self.epoch = epoch
        self.left = reply[1]
        self.until = sent + min(reply[2] / 1e6, LEASE_SECONDS)
        self.buckets = reply[-len(states) :] if states else []
        self.states = states

    def take(self) -> Decision:
        """One of them."""
        self.left -= 1
        return Decision(True, before(self.states, self.left))


class Plans:
    """Plans by the very object that the limits are, for the store's present epoch."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._epoch = ""
        self._plans: dict[int, Plan] = {}

    @property
    def epoch(self) -> str:
        """What the commands present."""
        return self._epoch

    def begin(self, epoch: str) -> None:
        """A new epoch: every command changes."""
        if epoch != self._epoch:
            self._epoch = epoch
            self._plans.clear()

    def of(self, limits: Sequence[Limit]) -> Plan:
        """The plan of these limits. It holds them, so that no other object has their id."""
        plan = self._plans.get(id(limits))
        if plan is None:
            if len(self._plans) >= _PLANS_MAX:
                self._plans.clear()
            # a list may be changed by its owner: it is copied and not kept
            plan = Plan(tuple(limits), self._script, self._epoch)
            if plan.limits is limits:
                self._plans[id(limits)] = plan
        return plan


class Decider(Protocol):
    """The limiter, as answers see it."""

    def answered(self, ask: "Ask", reply: Reply) -> None:
        """The store's answer."""
        ...

    def unanswered(self, ask: "Ask") -> None:
        """It will never come."""
        ...


class Ask:
    """Some callers wait for a decision; with a price it is one."""

    __slots__ = (
        "_decider",
        "admitted_alone",
        "ahead",
        "charge",
        "futures",
        "is_late",
        "leased_at",
        "plan",
        "since",
    )

    def __init__(self, decider: Decider, plan: Plan, charge: Charge | None, since: float) -> None:
        self._decider = decider
        self.plan = plan
        self.charge = charge
        self.since = since  # when the first of them asked, or began to wait again
        self.futures: list[asyncio.Future[Decision]] = []
        self.is_late = False  # decided already, without the store
        self.admitted_alone = 0
        self.ahead = 0
        self.leased_at: float | None = None  # when calls ahead were asked for

    def command(self) -> bytes:
        """As RESP."""
        if self.charge is not None:
            return self.plan.command_priced(self.charge)
        return self.plan.command(len(self.futures), self.ahead)

    def take(self, reply: Reply) -> None:
        """The answer is here."""
        self._decider.answered(self, reply)

    def lost(self) -> None:
        """The connection ended first."""
        self._decider.unanswered(self)


def states_of(plan: Plan, reply: list[int]) -> tuple[LimitState, ...]:
    """Where every limit stands after the script."""
    place = {ADMITTED_AHEAD: 3, SOME_ADMITTED: 2}.get(reply[0], 1)
    states = []
    for limit in plan.limits:
        states.append(LimitState(limit, reply[place], reply[place + 1]))
        place += 2
    return tuple(states)


def before(states: tuple[LimitState, ...], calls: int) -> tuple[LimitState, ...]:
    """Where they stood before so many calls."""
    if not calls:
        return states
    return tuple([LimitState(s.limit, s.remaining + calls, s.reset) for s in states])


def decisions_of(
    reply: list[int], states: tuple[LimitState, ...], calls: int
) -> Iterator[Decision]:
    """The script's answer for each of these calls, in their order; `states` are after all."""
    code = reply[0]
    admitted = calls if code in (ADMITTED, ADMITTED_AHEAD) else 0
    if code == SOME_ADMITTED:
        admitted = reply[1]
    ahead = reply[1] if code == ADMITTED_AHEAD else 0
    for later in range(admitted - 1, -1, -1):
        yield Decision(True, before(states, later + ahead))
    if admitted == calls:
        return
    if code in (FULL, SOME_ADMITTED):
        refused = Decision(False, states, tuple([s for s in states if not s.remaining]))
    else:
        no_credit = code == NO_CREDIT
        refused = Decision(False, states, no_credit=no_credit, unknown_credit=not no_credit)
    for _ in range(calls - admitted):
        yield refused
