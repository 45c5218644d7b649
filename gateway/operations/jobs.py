"""Jobs as people see them: read, cancel, answer, try again."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from pydantic import ValidationError

from gateway.errors import ConflictError, InvalidInputError, NotFoundError
from gateway.operations import access
from gateway.operations.access import AllowedApi, Known
from gateway.operations.audit import note_read
from gateway.operations.generate import checked_answers
from gateway.operations.ports import Services
from gateway.operations.switches import Switch, require
from gateway.operations.values import optional
from gateway.store import jobs, model_costs
from gateway.store.database import SERVICE, Filter, Row
from gateway.store.jobs import Made
from generator.contract import Contract

_ASKED = ("prompt", "name", "answers", "template", "approve", "cap_nano_usd")
OVER = frozenset({"succeeded", "failed", "cancelled"})
# whose fault it was not: what was done already is not paid for again
_OURS = frozenset(
    {"worker_died", "model_unavailable", "sandboxes_unavailable", "cost_cap_reached", "no_capacity"}
)


class JobNotFoundError(NotFoundError):
    """No such job, or it is a stranger's."""

    code, title = "job_not_found", "Job not found"


class JobNotOverError(ConflictError):
    """Only what ended without an API can be tried again."""

    code, title = "job_not_over", "The job has not failed"


class InvalidContractError(InvalidInputError):
    """What came back is no contract."""

    code, title = "invalid_contract", "Invalid contract"


@dataclass(frozen=True, slots=True)
class Job:
    """A job as its tenant sees it; `waiting_for` is answers or approval while it waits for you."""

    id: str
    tenant_id: str
    created_by: str | None
    batch_id: str | None
    retry_of: str | None
    prompt: str
    name: str
    template: str | None
    approve: str
    status: str
    waiting_for: str | None
    is_cancelling: bool
    questions: list[Any]
    answers: dict[str, str]
    assumptions: list[Any]
    contract: dict[str, Any] | None
    findings: list[Any]
    report: dict[str, Any] | None
    model: str | None
    failure: dict[str, Any] | None
    cost_nano_usd: int
    cap_nano_usd: int | None
    api_id: str | None
    version: int | None
    attempts: int
    events: int
    created_at: str
    updated_at: str
    started_at: str | None
    finished_at: str | None


@dataclass(frozen=True, slots=True)
class ModelCall:
    """One call of a model; `stop` is why it ended, `lost` when its worker died."""

    id: str
    purpose: str
    provider: str
    model: str
    request_id: str
    input_tokens: int
    output_tokens: int
    cache_write_5m_tokens: int
    cache_write_1h_tokens: int
    cache_read_tokens: int
    price: str
    nano_usd: int
    reserved_nano_usd: int
    duration_ms: int
    stop: str
    at: str


@dataclass(frozen=True, slots=True)
class JobFilter:
    """What is looked for; None is anything."""

    status: str | None = None
    batch_id: UUID | None = None
    tenant_id: UUID | None = None


async def list_jobs(
    services: Services, subject: Known, wanted: JobFilter, limit: int, offset: int
) -> list[Job]:
    """Those of the subject's tenants, newest first; an administrator may name any tenant."""
    named = wanted.tenant_id is not None
    identity = access.identity_of(subject) if named else access.own_identity(subject)
    where = filters(wanted)
    rows = await jobs.page(services.database, identity, where, limit, offset)
    return [job_of(row) for row in rows]


async def read_job(services: Services, subject: Known, job_id: UUID) -> Job:
    """One, with what is known of it so far."""
    return job_of(await visible(services, subject, job_id))


async def cancel_job(services: Services, subject: Known, job_id: UUID) -> Job:
    """End it: at once when nobody works on it, otherwise within seconds."""
    await visible(services, subject, job_id)
    await jobs.cancel(services.database, job_id, access.actor_of(subject))
    return await read_job(services, subject, job_id)


async def answer_job(
    services: Services,
    subject: Known,
    job_id: UUID,
    contract: Mapping[str, Any] | None,
    answers: Mapping[str, str],
) -> Job:
    """Accept the contract as it is or changed, or answer the questions; then it goes on."""
    await require(services, Switch.GENERATION)
    await visible(services, subject, job_id)
    values: dict[str, Any] = {"answers": checked_answers(answers)}
    if contract is not None:
        values["contract"] = checked_contract(contract)
    await jobs.answer(services.database, job_id, values, access.actor_of(subject))
    return await read_job(services, subject, job_id)


async def retry_job(services: Services, subject: Known, job_id: UUID) -> Made:
    """The same once more as a new job; what is accepted stays accepted."""
    await require(services, Switch.GENERATION)
    row = await visible(services, subject, job_id)
    if row["status"] not in ("failed", "cancelled"):
        raise JobNotOverError("Only a job that failed or was cancelled is tried again")
    was_ours = (row["failure"] or {}).get("code") in _OURS
    again = {
        **{name: row[name] for name in _ASKED},
        "tenant_id": row["tenant_id"],
        "created_by": optional(access.actor_of(subject)),
        "retry_of": str(job_id),
        "is_approved": row["is_approved"],
        "contract": row["contract"] if was_ours or row["is_approved"] else None,
        **{name: str(uuid4()) for name in ("id", "api_id", "version_id")},
    }
    return (await jobs.create(services.database, [again], services.generation.open_jobs))[0]


async def model_calls(services: Services, subject: Known, job_id: UUID) -> list[ModelCall]:
    """The ledger of one job, a row for each call of a model, oldest first."""
    await visible(services, subject, job_id)
    identity = access.identity_of(subject)
    rows = await model_costs.of_job(services.database, identity, job_id)
    return [ModelCall(**{name: row[name] for name in ModelCall.__slots__}) for row in rows]


async def visible(services: Services, subject: Known, job_id: UUID) -> Row:
    """The job as the subject reads it; whoever looks from outside is written down."""
    identity = access.identity_of(subject)
    row = await jobs.find(services.database, identity, job_id)
    if row is None:
        raise JobNotFoundError
    allowed = AllowedApi({"id": row["id"], "tenant_id": row["tenant_id"]}, identity)
    await note_read(services, subject, allowed, "job.read", "job")
    return row


async def search_jobs(
    services: Services, subject: Known, wanted: JobFilter, limit: int, offset: int
) -> list[Row]:
    """Of everybody, without what they wrote; for administrators."""
    access.require_admin(subject)
    where = filters(wanted)
    return await jobs.page(services.database, SERVICE, where, limit, offset, jobs.SUMMARY)


def filters(wanted: JobFilter) -> list[Filter]:
    """For the store."""
    named = (
        ("status", wanted.status),
        ("batch_id", wanted.batch_id),
        ("tenant_id", wanted.tenant_id),
    )
    return [Filter(name, "eq", str(value)) for name, value in named if value is not None]


def checked_contract(value: Mapping[str, Any]) -> dict[str, Any]:
    """In the form in which it is stored. `Any`: JSON that nobody has looked at yet."""
    try:
        contract = Contract.model_validate(value)
        return contract.model_dump(mode="json", by_alias=True)
    except (ValidationError, RecursionError) as error:
        raise InvalidContractError(_first_fault(error)) from error


def job_of(row: Row) -> Job:
    """From a row of `jobs`."""
    shown: dict[str, Any] = {name: row[name] for name in Job.__slots__ if name in row}
    is_cancelling = row["cancel_requested"] and row["status"] not in OVER
    return Job(**shown, is_cancelling=is_cancelling)


def _first_fault(error: ValidationError | RecursionError) -> str:
    if isinstance(error, RecursionError):
        return "The contract is nested too deeply"
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(step) for step in first["loc"])[:200]
    return f"{place or 'contract'}: {first['msg'][:300]}"
