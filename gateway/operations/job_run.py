"""One job in the hands of a worker: its events become rows, and what passed becomes an API."""

import time
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

import structlog

from gateway.errors import SandgateError
from gateway.operations.budget import JobBudget
from gateway.operations.edit_store import store_edit
from gateway.operations.generation import Template
from gateway.operations.job_store import store_outcome
from gateway.operations.ports import Services
from gateway.operations.stage import PlatformStage
from gateway.store import edits, jobs
from gateway.store.database import Row
from gateway.store.jobs import HeldJob
from generator.contract import Contract
from generator.types import (
    Candidate,
    Checkpoint,
    Event,
    EventKind,
    GeneratorError,
    Outcome,
    Previous,
    Wish,
)

_log = structlog.get_logger(__name__)
_RESUMED_FROM = (EventKind.CONTRACT, EventKind.WRITTEN, EventKind.GATE)
_WRITING_SECONDS = 0.25  # more often nobody can read it
# through no fault of the job: it goes back into the queue
_NOT_NOW = frozenset({"stopped", "database_unavailable", "tenant_suspended"})


@dataclass(frozen=True, slots=True)
class Tools:
    """What the platform gives a generator for one job. `user_id` is for attribution alone."""

    budget: JobBudget
    stage: PlatformStage
    user_id: str


@dataclass(frozen=True, slots=True)
class Generator:
    """What makes code: the loop, how it resumes, and the platform's file around a body."""

    run: Callable[[Wish, Tools], AsyncGenerator[Event, None]]
    checkpoint_of: Callable[[Iterable[Event]], Checkpoint]
    assemble: Callable[[Contract, str], str]


class PutBackError(Exception):
    """The job cannot go on now; with `waiting_for` not before somebody says something."""

    def __init__(self, text: str, waiting_for: str | None = None) -> None:
        super().__init__(text)
        self.text = text
        self.waiting_for = waiting_for


async def work(services: Services, generator: Generator, held: HeldJob, row: Row) -> None:
    """From where it was left to its end, told in the job's row; PutBackError when it must wait."""
    try:
        start = await edits.start_of(services.database, held.id)
        if row["api_id"] is None:
            outcome = row["checkpoint"].get("outcome")
            outcome = outcome or await _made(services, generator, held, row, start)
            if outcome is None or not await _stored(services, held, row, start, outcome):
                return
        await (_succeed(held, row) if start is None else _propose(held))
    except GeneratorError as error:
        await _fail(held, error.code, error.reason)
    except SandgateError as error:
        if error.code in _NOT_NOW:
            raise PutBackError(error.detail) from error
        _log.warning("job_not_stored", job_id=str(held.id), code=error.code)
        await _fail(held, error.code, error.detail)


async def _stored(
    services: Services, held: HeldJob, row: Row, start: Row | None, outcome: Mapping[str, Any]
) -> bool:
    """As a new API, or beside the version that was changed."""
    if start is None:
        return await store_outcome(services, held, row, outcome) is not None
    return await store_edit(services, held, row, start["api"], outcome) is not None


async def _made(
    services: Services, generator: Generator, held: HeldJob, row: Row, start: Row | None
) -> Mapping[str, Any] | None:
    """What passed every gate; None when it ended otherwise, which was told."""
    taking = _Taking(held, row)
    async with aclosing(await _events(services, generator, held, row, start)) as events:
        async for event in events:
            if not await taking.take(event):
                return None
            if event.kind is EventKind.CHECKED:
                return {**event.data, "contract": _as_shown(event.data["contract"])}
    await _fail(held, GeneratorError.code, "It ended without a result.")
    return None


async def _events(
    services: Services, generator: Generator, held: HeldJob, row: Row, start: Row | None
) -> AsyncGenerator[Event, None]:
    if row["template"] is not None:
        template = services.generation.template(row["template"])
        if template is None:
            raise GeneratorError("The template is not there any more.")
        return _from_template(template, generator.assemble)
    told = await jobs.told(held.database, held.id, _RESUMED_FROM)
    events = [Event(EventKind(one["kind"]), one["text"], one["data"]) for one in told]
    wish = Wish(
        prompt=row["prompt"],
        name=row["name"],
        answers=row["answers"],
        checkpoint=generator.checkpoint_of(events),
        previous=None if start is None else _previous(start),
    )
    budget = JobBudget(held, _caps(services, row), row["cost_nano_usd"])
    stage = PlatformStage(services, str(row["tenant_id"]))
    return generator.run(wish, Tools(budget, stage, str(row["created_by"] or "")))


def _previous(start: Row) -> Previous:
    return Previous(Contract.model_validate(start["contract"]), start["body"])


def _caps(services: Services, row: Row) -> Mapping[str, int | None]:
    caps = dict(services.generation.caps)
    own = row["cap_nano_usd"]
    if own is not None:
        job = caps.get("job")
        caps["job"] = own if job is None else min(job, own)
    return caps


async def _from_template(
    template: Template, assemble: Callable[[Contract, str], str]
) -> AsyncGenerator[Event, None]:
    """The same steps without a model; templates passed the gates when they were made."""
    contract, body = template.contract, template.body
    shown = contract.model_dump(mode="json", by_alias=True)
    yield Event(EventKind.STARTED, "It is made from a template.", {"template": template.slug})
    yield Event(EventKind.CONTRACT, "The template has its contract.", {"contract": shown})
    outcome = Outcome(contract, Candidate(body, assemble(contract, body)), "")
    made = {**outcome.to_json(), "contract": shown}
    yield Event(EventKind.CHECKED, "The template is ready.", made)


@dataclass(slots=True)
class _Taking:
    """Writes events down, with what each tells of the job."""

    held: HeldJob
    row: Row
    _written_at: float = field(default=0.0)

    async def take(self, event: Event) -> bool:
        """Whether it goes on; PutBackError when it waits for somebody."""
        if event.kind in (EventKind.FAILED, EventKind.GAVE_UP, EventKind.CANCELLED):
            await self._end(event)
            return False
        if event.kind is EventKind.WRITING and not self._is_time():
            return True
        values = {"events": [_row(event)], **_facts(event)}
        if not await self.held.advance(values):
            return False
        self._wait(event)
        return True

    def _is_time(self) -> bool:
        now = time.monotonic()
        if now - self._written_at < _WRITING_SECONDS:
            return False
        self._written_at = now
        return True

    def _wait(self, event: Event) -> None:
        """With `approve: ask` questions and the contract are put to somebody, each once."""
        if self.row["approve"] != "ask":
            return
        asks = event.kind is EventKind.SCREENED and bool(event.data.get("questions"))
        if asks and not self.row["is_asked"]:
            raise PutBackError("It has questions.", "answers")
        if event.kind is EventKind.CONTRACT and not self.row["is_approved"]:
            raise PutBackError("The contract waits for a yes.", "approval")

    async def _end(self, event: Event) -> None:
        code = str(event.data.get("code") or GeneratorError.code)
        reason = str(event.data.get("reason") or event.text)
        if code in _NOT_NOW:
            raise PutBackError(reason)
        if facts := _facts(event):
            await self.held.advance({"events": [], **facts})
        failure = {"code": code, "reason": reason}
        await self.held.finish("failed", failure, [_row(event)])


def _facts(event: Event) -> dict[str, Any]:
    """What the job's own row is told. `Any`: JSON."""
    data = event.data
    match event.kind:
        case EventKind.SCREENED:
            return {name: data[name] for name in ("questions", "assumptions") if name in data}
        case EventKind.CONTRACT:
            return {"contract": _as_shown(data["contract"])}
        case EventKind.GATE | EventKind.GAVE_UP:
            return {name: data[name] for name in ("findings", "report") if name in data}
        case EventKind.CHECKED:
            outcome = {**data, "contract": _as_shown(data["contract"])}
            known = {name: outcome[name] for name in ("contract", "findings", "report", "model")}
            return {**known, "checkpoint": {"outcome": outcome}}
    return {}


def _as_shown(contract: Any) -> dict[str, Any]:
    """The one form in which people read a contract and send it back. `Any`: JSON."""
    return Contract.model_validate(contract).model_dump(mode="json", by_alias=True)


def _row(event: Event) -> Row:
    """As it is stored; code is told once, when it was written."""
    hidden = {"body", "code"} if event.kind is EventKind.CHECKED else set()
    data = {name: value for name, value in event.data.items() if name not in hidden}
    if "contract" in data:
        data["contract"] = _as_shown(data["contract"])
    return {"kind": str(event.kind), "text": event.text, "data": data}


async def _succeed(held: HeldJob, row: Row) -> None:
    api_id = str(row["api_id"] or row["new_api_id"])
    data = {
        "api_id": api_id,
        "version": row["version"] or 1,
        "url": f"/{api_id}",
        "curl": f'curl -H "Authorization: Bearer $SANDGATE_KEY" "$SANDGATE_URL/{api_id}/"',
    }
    event = {"kind": str(EventKind.DEPLOYED), "text": "It answers.", "data": data}
    if await held.finish("succeeded", None, [event]):
        _log.info("job_succeeded", job_id=str(held.id), api_id=api_id)


async def _propose(held: HeldJob) -> None:
    text = "The change waits for a yes or a no."
    event = {"kind": "proposed", "text": text, "data": {"url": f"/api/edits/{held.id}"}}
    if await held.finish("succeeded", None, [event]):
        _log.info("edit_made", job_id=str(held.id))


async def _fail(held: HeldJob, code: str, reason: str) -> None:
    failure = {"code": code, "reason": reason[:2000]}
    event = {"kind": str(EventKind.FAILED), "text": failure["reason"], "data": failure}
    await held.finish("failed", failure, [event])
