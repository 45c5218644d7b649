"""Money for models: each call is set aside in the database before, and settled after."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, TypeVar
from uuid import UUID, uuid4

import structlog

from gateway.errors import SandgateError
from gateway.operations.generation import dollars
from gateway.store import model_costs
from gateway.store.database import Database, DatabaseError, DatabaseUnavailableError
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

    async def reserve(self, purpose: Purpose, model: str, nano_usd: int) -> "CostReservation":
        """Set aside the most that a call can cost; CapReachedError when a cap forbids it."""
        who = {"job_id": str(self.held.id), "claim": self.held.claim}
        wanted = {**who, "purpose": purpose, "model": model[:200], "nano_usd": nano_usd}
        reservation_id = await _set_aside(self.held.database, wanted, self.caps)
        return CostReservation(self.held.database, reservation_id, self._settled)

    async def _settled(self, job_nano_usd: int) -> None:
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
class PersonBudget:
    """The same for calls that belong to no job: a person asks, their tenant pays."""

    database: Database
    tenant_id: UUID
    user_id: UUID
    caps: Caps

    async def reserve(self, purpose: Purpose, model: str, nano_usd: int) -> "CostReservation":
        """Set aside the most that a call can cost; CapReachedError when a cap forbids it."""
        who = {"tenant_id": str(self.tenant_id), "user_id": str(self.user_id)}
        wanted = {**who, "purpose": purpose, "model": model[:200], "nano_usd": nano_usd}
        return CostReservation(self.database, await _set_aside(self.database, wanted, self.caps))


@dataclass(frozen=True, slots=True)
class CostReservation:
    """An amount set aside. What cannot be settled counts as spent in full later on."""

    database: Database
    id: UUID
    on_settled: Callable[[int], Awaitable[None]] | None = None

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
        job_nano_usd = await again(lambda: model_costs.settle(self.database, values))
        if self.on_settled is not None:
            await self.on_settled(job_nano_usd)

    async def release(self) -> None:
        """Nothing was spent."""
        await again(lambda: model_costs.release(self.database, self.id))


async def _set_aside(database: Database, wanted: Mapping[str, Any], caps: Caps) -> UUID:
    """Id of the reservation. `Any`: JSON."""
    reservation_id = uuid4()
    try:
        answer = await model_costs.reserve(database, {"id": str(reservation_id), **wanted}, caps)
    except DatabaseError as error:
        raise StoppedWorkError(error.code, error.detail) from error
    except SandgateError as error:
        raise StoppedWorkError(error.code, error.title) from error
    if answer:
        cap = str(answer["cap"])
        reason = (
            f"The next call could cost {dollars(wanted['nano_usd'])}, and {_NAMES[cap]} may cost "
            f"{dollars(answer['cap_nano_usd'])}, of which {dollars(answer['spent_nano_usd'])} "
            "are spent."
        )
        raise CapReachedError(reason, cap)
    return reservation_id


async def again(action: Callable[[], Awaitable[Value]]) -> Value:
    """A few times while the database is away: what a call cost is not forgotten lightly."""
    for number in range(1, _TRIES):
        try:
            return await action()
        except DatabaseUnavailableError:
            _log.warning("cost_not_stored_yet", tried=number)
            await asyncio.sleep(_PAUSE_SECONDS * number)
    return await action()
