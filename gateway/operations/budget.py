"""A job's money: each call of a model is set aside in the database before, and settled after."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from typing import TypeVar
from uuid import UUID, uuid4

import structlog

from gateway.errors import SandgateError
from gateway.operations.generation import dollars
from gateway.store import model_costs
from gateway.store.database import DatabaseError, DatabaseUnavailableError
from gateway.store.jobs import HeldJob
from gateway.store.model_costs import Caps
from generator.llm.base import CapReachedError, Purpose, Spent
from generator.types import EventKind, GeneratorError

Value = TypeVar("Value")
_TRIES = 3
_PAUSE_SECONDS = 0.5
_log = structlog.get_logger(__name__)
_NAMES = {
    "job": "this job",
    "user": "one person in a day",
    "plan": "the plan in a month",
    "day": "this installation in a day",
}


class StoppedWorkError(GeneratorError):
    """No call may be made now, through no fault of the job."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code


@dataclass(slots=True)
class JobBudget:
    """A `Budget` of the generator's for one job that is held."""

    held: HeldJob
    caps: Caps
    spent_nano_usd: int = 0

    async def reserve(self, purpose: Purpose, model: str, nano_usd: int) -> "JobReservation":
        """Set aside the most that a call can cost; CapReachedError when a cap forbids it."""
        reservation_id = uuid4()
        values = {
            "id": str(reservation_id),
            "job_id": str(self.held.id),
            "claim": self.held.claim,
            "purpose": purpose,
            "model": model[:200],
            "nano_usd": nano_usd,
        }
        try:
            answer = await model_costs.reserve(self.held.database, values, self.caps)
        except DatabaseError as error:
            raise StoppedWorkError(error.code, error.detail) from error
        except SandgateError as error:
            raise StoppedWorkError(error.code, error.title) from error
        if answer:
            cap = str(answer["cap"])
            reason = (
                f"The next call could cost {dollars(nano_usd)}, and {_NAMES[cap]} may cost "
                f"{dollars(answer['cap_nano_usd'])}, of which {dollars(answer['spent_nano_usd'])} "
                "are spent."
            )
            raise CapReachedError(reason, cap)
        return JobReservation(self, reservation_id)

    async def settled(self, job_nano_usd: int) -> None:
        """Tell whoever watches, when it is more than before."""
        if job_nano_usd == self.spent_nano_usd:
            return
        self.spent_nano_usd = job_nano_usd
        event = {
            "kind": EventKind.COST,
            "text": f"{dollars(job_nano_usd)} so far.",
            "data": {"nano_usd": job_nano_usd, "cap_nano_usd": self.caps.get("job")},
        }
        await self.held.advance({"events": [event]})


@dataclass(frozen=True, slots=True)
class JobReservation:
    """An amount set aside. What cannot be settled counts as spent in full later on."""

    budget: JobBudget
    id: UUID

    async def settle(self, spent: Spent) -> None:
        """What it really was."""
        values = {
            "id": str(self.id),
            "provider": spent.provider[:40],
            "model": spent.model[:200],
            "request_id": spent.request_id,
            "tokens": asdict(spent.usage),
            "price": spent.price[:100],
            "nano_usd": spent.nano_usd,
            "duration_ms": int(spent.seconds * 1000),
            "stop": spent.stop,
        }
        database = self.budget.held.database
        await self.budget.settled(await again(lambda: model_costs.settle(database, values)))

    async def release(self) -> None:
        """Nothing was spent."""
        database = self.budget.held.database
        await again(lambda: model_costs.release(database, self.id))


async def again(action: Callable[[], Awaitable[Value]]) -> Value:
    """A few times while the database is away: what a call cost is not forgotten lightly."""
    for number in range(1, _TRIES):
        try:
            return await action()
        except DatabaseUnavailableError:
            _log.warning("cost_not_stored_yet", tried=number)
            await asyncio.sleep(_PAUSE_SECONDS * number)
    return await action()
