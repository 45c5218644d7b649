"""Whose start is next: a global number of slots, a share per tenant, tenants in turn."""

import asyncio
import itertools
from collections import Counter, OrderedDict, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sandbox.types import CapacityError


@dataclass(frozen=True, slots=True)
class Turn:
    """One start that wants a slot."""

    number: int
    tenant_id: str


class Turns:
    """Who waits and who has a slot. Pure: it decides, others wait."""

    def __init__(self, slots: int, per_tenant: int, most_waiting: int = 1000) -> None:
        self._slots = slots
        self._per_tenant = per_tenant
        self._most_waiting = most_waiting
        self._waiting: OrderedDict[str, deque[Turn]] = OrderedDict()  # the first tenant is next
        self._running: Counter[str] = Counter()
        self._numbers = itertools.count()

    @property
    def running(self) -> int:
        """How many have a slot."""
        return self._running.total()

    def ask(self, tenant_id: str) -> Turn:
        """Queue up; CapacityError when the tenant has too many waiting already."""
        queue = self._waiting.setdefault(tenant_id, deque())
        if len(queue) >= self._most_waiting:
            raise CapacityError(f"{len(queue)} starts of this tenant are waiting already")
        turn = Turn(next(self._numbers), tenant_id)
        queue.append(turn)
        return turn

    def grant(self) -> list[Turn]:
        """Those whose turn it is now; each has its slot until `done`."""
        granted = []
        while self.running < self._slots:
            tenant_id = next((name for name in self._waiting if self._may_run(name)), None)
            if tenant_id is None:
                break
            granted.append(self._take(tenant_id))
        return granted

    def _may_run(self, tenant_id: str) -> bool:
        return self._running[tenant_id] < self._per_tenant

    def _take(self, tenant_id: str) -> Turn:
        queue = self._waiting[tenant_id]
        turn = queue.popleft()
        if queue:
            self._waiting.move_to_end(tenant_id)
        else:
            del self._waiting[tenant_id]
        self._running[tenant_id] += 1
        return turn

    def leave(self, turn: Turn) -> None:
        """It does not want a slot any more; nothing when it does not wait."""
        queue = self._waiting.get(turn.tenant_id)
        if queue is None or turn not in queue:
            return
        queue.remove(turn)
        if not queue:
            del self._waiting[turn.tenant_id]

    def done(self, turn: Turn) -> None:
        """It gives its slot back."""
        self._running[turn.tenant_id] -= 1
        self._running += Counter()  # forget tenants that have none


class Slot:
    """A granted turn; given back once, early or at the end."""

    def __init__(self, gate: "Gate", turn: Turn) -> None:
        self._gate = gate
        self._turn: Turn | None = turn

    def release(self) -> None:
        """Let the next one in. Harmless when it was called before."""
        if self._turn is not None:
            turn, self._turn = self._turn, None
            self._gate.give_back(turn)


class Gate:
    """Waits for turns."""

    def __init__(self, slots: int, per_tenant: int) -> None:
        self._turns = Turns(slots, per_tenant)
        self._waiters: dict[Turn, asyncio.Future[None]] = {}

    @property
    def running(self) -> int:
        """How many starts have a slot."""
        return self._turns.running

    async def enter(self, tenant_id: str) -> Slot:
        """Wait for this tenant's turn; CapacityError when too many of it wait."""
        turn = self._turns.ask(tenant_id)
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters[turn] = waiter
        self._grant()
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self.give_back(turn)  # granted in the very moment it was given up
            else:
                self._turns.leave(turn)
            raise
        finally:
            self._waiters.pop(turn, None)
        return Slot(self, turn)

    def give_back(self, turn: Turn) -> None:
        """A slot is free."""
        self._turns.done(turn)
        self._grant()

    def _grant(self) -> None:
        while granted := self._turns.grant():
            for turn in granted:
                waiter = self._waiters[turn]
                if waiter.done():  # given up, and its task has not run since
                    self._turns.done(turn)
                else:
                    waiter.set_result(None)


@contextmanager
def held(slot: Slot) -> Iterator[Slot]:
    """Give the slot back at the end at the latest."""
    try:
        yield slot
    finally:
        slot.release()
