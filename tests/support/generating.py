"""A scripted generator, and a worker over it, for tests of jobs."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import uuid4

from gateway.operations.generation import Generation
from gateway.operations.job_run import Generator, Tools, work
from gateway.operations.job_worker import JobWorker, Pace
from gateway.operations.ports import Services
from gateway.store import jobs
from gateway.store.database import SERVICE, Row
from generator.contract import Contract
from generator.llm.base import Spent, Usage
from generator.types import Candidate, Checkpoint, Event, EventKind, Finding, Gate, Outcome, Wish
from tests.support.templates import BODY, CLOCK, OneTemplate, assembled

QUICK = Pace(concurrency=2, poll=0.02, beat=0.05, dead=0.5, reclaim=0.1)
CONTRACT = CLOCK.contract.model_dump(mode="json", by_alias=True)
FINDING = Finding(Gate.STATIC, "import_not_allowed", "os may not be imported").to_json()
CALL_NANO_USD = 100

Step = Event | str  # an event, or `call` for one call of a model


def checked(body: str = BODY, contract: Contract = CLOCK.contract) -> Event:
    """The last step of what went well."""
    outcome = Outcome(contract, Candidate(body, assembled(contract, body)), "a-model")
    return Event(EventKind.CHECKED, "All gates passed.", outcome.to_json())


SCREENED = Event(EventKind.SCREENED, "It can be made.", {"allowed": True, "questions": []})
AGREED = Event(EventKind.CONTRACT, "The contract is there.", {"contract": CONTRACT})
WRITTEN = Event(EventKind.WRITTEN, "It is written.", {"body": BODY, "round": 0})
FOUND = Event(EventKind.GATE, "A finding.", {"gate": "static", "findings": [FINDING]})
REPAIR = Event(EventKind.REPAIR, "It is repaired.", {"round": 1, "of": 3})
GATE = Event(EventKind.GATE, "It passed.", {"gate": "static", "passed": True, "findings": []})
STARTED = Event(EventKind.STARTED, "Started.")
WRITING = Event(EventKind.WRITING, "It is being written.", {"characters": 5})
GOOD: tuple[Step, ...] = (
    STARTED, "call", SCREENED, "call", AGREED, WRITING, "call", WRITTEN, FOUND, "call", REPAIR,
    replace(WRITTEN, data={"body": BODY, "round": 1}), GATE, checked(),
)  # fmt: skip


def checkpoint_of(events: Iterable[Event]) -> Checkpoint:
    """The last contract and the last body."""
    point = Checkpoint()
    for event in events:
        if event.kind is EventKind.CONTRACT:
            point = Checkpoint(Contract.model_validate(event.data["contract"]))
        elif event.kind is EventKind.WRITTEN:
            point = replace(point, body=event.data["body"], round=event.data["round"])
    return point


@dataclass(slots=True)
class Script:
    """Plays its steps; stops before the step of this number until `go` is set."""

    steps: Sequence[Step] = GOOD
    stop_at: int | None = None
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    go: asyncio.Event = field(default_factory=asyncio.Event)
    wishes: list[Wish] = field(default_factory=list)
    left: int = 0  # runs that were ended before their time

    async def run(self, wish: Wish, tools: Tools) -> AsyncGenerator[Event, None]:
        """The loop's signature."""
        self.wishes.append(wish)
        is_over = False
        try:
            for number, step in enumerate(self.steps):
                if number == self.stop_at and not self.go.is_set():
                    self.reached.set()
                    await self.go.wait()
                if isinstance(step, Event):
                    yield step
                else:
                    await call(tools)
            is_over = True
        finally:
            self.left += not is_over

    @property
    def generator(self) -> Generator:
        """As a worker takes it."""
        return Generator(self.run, checkpoint_of, assembled)


async def call(tools: Tools, nano_usd: int = CALL_NANO_USD) -> None:
    """One call of a model, as a client makes it."""
    reservation = await tools.budget.reserve("code", "a-model", nano_usd * 2)
    spent = Spent(
        purpose="code",
        provider="scripted",
        model="a-model",
        request_id=uuid4().hex,
        usage=Usage(input=10, output=5),
        price="row",
        nano_usd=nano_usd,
        seconds=0.1,
        stop="end_turn",
    )
    await reservation.settle(spent)


def able(services: Services, **changed: Any) -> Services:
    """With a model and one template."""
    caps = {"job": 1_000_000, "user_day": 1_000_000, "day": 10**12}
    chosen = Generation(model="a-model", library=OneTemplate(), caps=caps)
    return replace(services, generation=replace(chosen, **changed))


@asynccontextmanager
async def working(
    services: Services, script: Script, pace: Pace = QUICK
) -> AsyncIterator[JobWorker]:
    """A worker until the block ends in the ordinary way."""
    worker = worker_of(services, script, pace)
    task = asyncio.create_task(worker.run())
    try:
        yield worker
    finally:
        task.cancel()
        await asyncio.wait({task})


def worker_of(services: Services, script: Script, pace: Pace = QUICK) -> JobWorker:
    """One that has not begun."""

    async def one(held: jobs.HeldJob, row: Row) -> None:
        await work(services, script.generator, held, row)

    return JobWorker(services.database, one, pace)


async def job_when(
    services: Services, job_id: Any, holds: Callable[[Row], bool], seconds: float = 20
) -> Row:
    """The job once something holds of it."""
    async with asyncio.timeout(seconds):
        while True:
            row = await jobs.find(services.database, SERVICE, job_id)
            assert row is not None
            if holds(row):
                return row
            await asyncio.sleep(0.02)


async def over(services: Services, job_id: Any, seconds: float = 20) -> Row:
    """The job once it is over."""
    return await job_when(services, job_id, lambda row: row["finished_at"] is not None, seconds)
