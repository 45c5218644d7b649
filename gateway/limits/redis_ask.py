"""One decision on its way: the command, made once for each set of limits, and the answer."""

import asyncio
from collections.abc import Sequence
from typing import Protocol

from gateway.limits import redis_keys
from gateway.limits.redis_script import Script
from gateway.limits.redis_shadow import width_of
from gateway.limits.redis_wire import Reply, command
from gateway.limits.types import Charge, Decision, Limit, LimitState

_PLANS_MAX = 20_000
LEASE_SECONDS = 1.0  # at most; then what is left is given back
ADMITTED_AHEAD = 4  # the script's answer


class Plan:
    """What is sent for these limits. The same limits are one object in the call path."""

    __slots__ = ("_ahead", "_epoch", "_plain", "_priced", "_script", "limits")

    def __init__(self, limits: Sequence[Limit], script: Script, epoch: str) -> None:
        self.limits = limits
        self._script = script
        self._epoch = epoch
        self._plain = command(*self.words(None))
        self._ahead: tuple[int, bytes] | None = None
        self._priced: tuple[Charge, bytes] | None = None

    def command(self, charge: Charge | None) -> bytes:
        """The decision as RESP."""
        if charge is None:
            return self._plain
        if self._priced is None or self._priced[0] != charge:
            self._priced = charge, command(*self.words(charge))
        return self._priced[1]

    def command_ahead(self, ahead: int) -> bytes:
        """The decision, and so many more that are counted already."""
        if self._ahead is None or self._ahead[0] != ahead:
            self._ahead = ahead, command(*self.words(None, ahead=ahead))
        return self._ahead[1]

    def words(
        self,
        charge: Charge | None,
        *,
        ahead: int = 0,
        is_look: bool = False,
        text: bool = False,
    ) -> list[str | int]:
        """The command word by word; `text` sends the script itself."""
        keys = [redis_keys.EPOCH, *map(redis_keys.counter_of, self.limits)]
        price: str | int = "look" if is_look else 0
        if charge is not None:
            keys.append(redis_keys.balance(charge.account))
            price = charge.amount
        head = ("EVAL", self._script.text) if text else ("EVALSHA", self._script.digest)
        words: list[str | int] = [*head, len(keys), *keys, self._epoch, len(self.limits), price]
        words.append(ahead)
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
        return self.admitted()

    def admitted(self) -> Decision:
        """For whoever got in: what is left in the store, and here."""
        states = [LimitState(s.limit, s.remaining + self.left, s.reset) for s in self.states]
        return Decision(True, tuple(states))


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
    """Somebody waits for a decision."""

    __slots__ = (
        "_decider",
        "charge",
        "future",
        "is_admitted_alone",
        "is_late",
        "leased_at",
        "plan",
        "sent",
    )

    def __init__(
        self,
        decider: Decider,
        plan: Plan,
        charge: Charge | None,
        future: asyncio.Future[Decision],
        sent: float,
    ) -> None:
        self._decider = decider
        self.plan = plan
        self.charge = charge
        self.future = future
        self.sent = sent
        self.is_late = False  # decided already, without the store
        self.is_admitted_alone = False
        self.leased_at: float | None = None  # when calls ahead were asked for

    def take(self, reply: Reply) -> None:
        """The answer is here."""
        self._decider.answered(self, reply)

    def lost(self) -> None:
        """The connection ended first."""
        self._decider.unanswered(self)


def decision_of(plan: Plan, reply: list[int]) -> Decision:
    """The script's answer as a decision."""
    code = reply[0]
    place = 3 if code == ADMITTED_AHEAD else 1
    states = []
    for limit in plan.limits:
        states.append(LimitState(limit, reply[place], reply[place + 1]))
        place += 2
    everything = tuple(states)
    if code in (1, ADMITTED_AHEAD):
        return Decision(True, everything)
    if code == 0:
        return Decision(False, everything, tuple([s for s in states if not s.remaining]))
    return Decision(False, everything, no_credit=code == 2, unknown_credit=code == 3)
