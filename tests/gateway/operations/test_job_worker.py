"""Workers over a scripted generator: what becomes of a job, however it ends."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from gateway.store import jobs, model_costs
from gateway.store.database import SERVICE, Database, Identity
from generator.types import Event, EventKind
from sandbox.types import AppDocument, CapacityError, Lease, StartFailedError, StartFailure
from tests.support.control import World
from tests.support.factories import Person, make_api
from tests.support.generating import (
    AGREED,
    CALL_NANO_USD,
    CONTRACT,
    GOOD,
    STARTED,
    WRITTEN,
    Script,
    able,
    checked,
    job_when,
    over,
    worker_of,
    working,
)
from tests.support.jobs import queue
from tests.support.templates import BODY


@pytest.fixture
async def person(world: World) -> Person:
    world.services = able(world.services)
    return await world.person()


async def kinds(world: World, job_id: UUID) -> list[str]:
    rows = await jobs.events(world.database, SERVICE, job_id, 0)
    assert [row["n"] for row in rows] == list(range(1, len(rows) + 1))
    return [row["kind"] for row in rows if row["kind"] != "cost"]


async def test_words_become_an_api_that_answers(world: World, person: Person) -> None:
    world.sandboxes.document_said = AppDocument('{"openapi": "3.1.0", "info": {}, "paths": {}}')
    job_id = await queue(world.database, person)
    async with working(world.services, Script()):
        row = await over(world.services, job_id)
    assert (row["status"], row["version"], row["model"]) == ("succeeded", 1, "a-model")
    assert row["cost_nano_usd"] == 4 * CALL_NANO_USD
    assert await kinds(world, job_id) == [
        "queued", "started", "screened", "contract", "writing", "written", "gate", "repair",
        "written", "gate", "checked", "version", "deployed",
    ]  # fmt: skip
    api = (await world.database.select("apis", identity=SERVICE))[0]
    assert (api["id"], api["name"], api["created_by"]) == (row["api_id"], "Clock", person.id)
    assert [spec.api_id for spec in world.sandboxes.running] == [row["api_id"]]
    version = (await world.database.select("api_versions", identity=SERVICE))[0]
    assert version["openapi"] is not None, version["openapi_note"]


async def test_where_a_version_comes_from_is_kept(world: World, person: Person) -> None:
    job_id = await queue(world.database, person)
    async with working(world.services, Script()):
        await over(world.services, job_id)
    origin = (await world.database.select("version_origins", identity=person.identity))[0]
    assert (origin["job_id"], origin["body"], origin["contract"]) == (str(job_id), BODY, CONTRACT)
    costs = await model_costs.of_job(world.database, person.identity, job_id)
    assert {row["api_id"] for row in costs} == {origin["api_id"]}


async def test_a_template_needs_no_model(world: World, person: Person) -> None:
    job_id = await queue(world.database, person, template="clock")
    script = Script()
    async with working(able(world.services, model=""), script):
        row = await over(world.services, job_id)
    assert (row["status"], row["cost_nano_usd"], script.wishes) == ("succeeded", 0, [])
    assert row["contract"] == CONTRACT


@pytest.mark.parametrize(
    ("last", "code"),
    [
        (
            Event(EventKind.FAILED, "No.", {"code": "forbidden_use", "reason": "No."}),
            "forbidden_use",
        ),
        (Event(EventKind.GAVE_UP, "No.", {"code": "no_progress", "findings": []}), "no_progress"),
        (STARTED, "generation_failed"),
    ],
    ids=["failed", "gave up", "says nothing more"],
)
async def test_what_fails_says_why_and_leaves_no_api(
    world: World, person: Person, last: Event, code: str
) -> None:
    job_id = await queue(world.database, person)
    async with working(world.services, Script([STARTED, last])):
        row = await over(world.services, job_id)
    assert (row["status"], row["failure"]["code"]) == ("failed", code)
    assert (await kinds(world, job_id))[-1] in ("failed", "gave_up")
    assert await world.database.select("apis", identity=SERVICE) == []


async def test_a_generator_that_breaks_is_our_fault(world: World, person: Person) -> None:
    job_id = await queue(world.database, person)
    broken = Event(EventKind.CONTRACT, "A contract that is none.", {})
    async with working(world.services, Script([broken])):
        row = await over(world.services, job_id)
    assert row["failure"]["code"] == "internal_error"


async def test_code_that_does_not_start_is_not_stored(world: World, person: Person) -> None:
    world.sandboxes.start_fails = StartFailedError(StartFailure.IMPORT, "no module")
    job_id = await queue(world.database, person)
    async with working(world.services, Script([checked()])):
        row = await over(world.services, job_id)
    assert row["failure"]["code"] == "api_start_failed"
    assert await world.database.select("apis", identity=SERVICE) == []


async def test_a_taken_name_gets_a_number(world: World, person: Person) -> None:
    await make_api(world.database, person.tenant_id, name="Clock")
    job_id = await queue(world.database, person)
    async with working(world.services, Script([checked()])):
        assert (await over(world.services, job_id))["status"] == "succeeded"
    names = {api["name"] for api in await world.database.select("apis", identity=SERVICE)}
    assert names == {"Clock", "Clock 2"}


async def test_a_cap_in_the_middle_ends_it_before_the_call(world: World, person: Person) -> None:
    services = able(
        world.services, caps={"job": 3 * CALL_NANO_USD, "user_day": 10**9, "day": 10**9}
    )
    job_id = await queue(world.database, person)
    async with working(services, Script(["call", AGREED, "call", WRITTEN, "call", checked()])):
        row = await over(services, job_id)
    assert (row["status"], row["failure"]["code"]) == ("failed", "cost_cap_reached")
    assert row["cost_nano_usd"] == 2 * CALL_NANO_USD


async def test_a_job_spends_no_more_than_whoever_asked_allowed(
    world: World, person: Person
) -> None:
    job_id = await queue(world.database, person, cap_nano_usd=2 * CALL_NANO_USD)
    async with working(world.services, Script()):
        row = await over(world.services, job_id)
    assert (row["failure"]["code"], row["cost_nano_usd"]) == ("cost_cap_reached", CALL_NANO_USD)
    async with world.client(person) as client:
        calls = (await client.get(f"/api/jobs/{job_id}/costs")).json()["items"]
    assert [(call["nano_usd"], call["input_tokens"]) for call in calls] == [(CALL_NANO_USD, 10)]


async def test_cancelled_in_the_middle_it_ends_and_leaves_nothing(
    world: World, person: Person
) -> None:
    script = Script(stop_at=5)
    job_id = await queue(world.database, person)
    async with working(world.services, script):
        await script.reached.wait()
        await jobs.cancel(world.database, job_id, UUID(person.id))
        row = await over(world.services, job_id)
    assert (row["status"], script.left) == ("cancelled", 1)
    assert await world.database.select("apis", identity=SERVICE) == []


async def test_a_worker_that_ends_hands_its_job_back_and_the_next_goes_on(
    world: World, person: Person
) -> None:
    first, second = Script(stop_at=8), Script()
    job_id = await queue(world.database, person)
    async with working(world.services, first):
        await first.reached.wait()
    row = await jobs.find(world.database, SERVICE, job_id)
    assert row is not None
    assert (row["status"], row["attempts"]) == ("queued", 0)
    async with working(world.services, second):
        assert (await over(world.services, job_id))["status"] == "succeeded"
    point = second.wishes[0].checkpoint
    assert point.contract is not None
    assert (point.contract.title, point.body) == ("Clock", BODY)


class SlowClaims:
    """The database, but an answer to `claim_job` comes when the test says so."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.claimed, self.go = asyncio.Event(), asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)

    async def rpc(self, function: str, arguments: Mapping[str, Any], *, identity: Identity) -> Any:
        value = await self._database.rpc(function, arguments, identity=identity)
        if function == "claim_job":
            self.claimed.set()
            await asyncio.wait_for(self.go.wait(), 10)
        return value


async def test_what_is_claimed_while_the_worker_ends_is_handed_back(
    world: World, person: Person
) -> None:
    slow = SlowClaims(world.database)
    job_id = await queue(world.database, person)
    running = asyncio.create_task(worker_of(replace(world.services, database=slow), Script()).run())
    await slow.claimed.wait()
    running.cancel()
    slow.go.set()
    await asyncio.wait({running})
    row = await jobs.find(world.database, SERVICE, job_id)
    assert row is not None
    assert (row["status"], row["attempts"]) == ("queued", 0)


async def test_the_kill_switch_puts_running_jobs_back_until_it_is_lifted(
    world: World, person: Person
) -> None:
    script = Script(stop_at=5)
    job_id = await queue(world.database, person)
    stop = {"p_name": "generation", "p_stopped": True, "p_reason": "a key leaked"}
    async with working(world.services, script):
        await script.reached.wait()
        await world.database.rpc("set_switch", stop, identity=SERVICE)
        await job_when(world.services, job_id, lambda row: row["status"] == "queued")
        script.go.set()
        await world.database.rpc("set_switch", {**stop, "p_stopped": False}, identity=SERVICE)
        assert (await over(world.services, job_id))["status"] == "succeeded"


async def test_a_contract_waits_for_a_yes_and_what_was_said_is_built(
    world: World, person: Person
) -> None:
    script = Script()
    job_id = await queue(world.database, person, approve="ask")
    async with working(world.services, script):
        await job_when(world.services, job_id, lambda row: row["waiting_for"] == "approval")
        mine = {**CONTRACT, "title": "My clock"}
        await jobs.answer(world.database, job_id, {"contract": mine}, UUID(person.id))
        assert (await over(world.services, job_id))["status"] == "succeeded"
    contract = script.wishes[-1].checkpoint.contract
    assert contract is not None
    assert contract.title == "My clock"


async def test_questions_are_put_once(world: World, person: Person) -> None:
    asks = Event(EventKind.SCREENED, "It can be made.", {"questions": ["Which zone?"]})
    script = Script([asks, checked()])
    job_id = await queue(world.database, person, approve="ask")
    async with working(world.services, script):
        row = await job_when(world.services, job_id, lambda row: row["waiting_for"] == "answers")
        assert row["questions"] == ["Which zone?"]
        answers = {"answers": {"Which zone?": "UTC"}}
        await jobs.answer(world.database, job_id, answers, UUID(person.id))
        assert (await over(world.services, job_id))["status"] == "succeeded"
    assert script.wishes[-1].answers == answers["answers"]


async def test_with_no_room_it_waits_for_a_sandbox(
    world: World, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.operations.job_store._PAUSE_SECONDS", 0)
    monkeypatch.setattr(world.sandboxes, "acquire", full)
    job_id = await queue(world.database, person)
    async with working(world.services, Script([checked()])):
        row = await over(world.services, job_id)
    assert row["failure"]["code"] == "no_capacity"


async def full(*_: object) -> Lease:
    raise CapacityError


# --- the kill table -----------------------------------------------------------------------------

# each step with a real process: test_killed_workers.py
STEPS = {"claimed": 0, "repair": 11}


@pytest.mark.parametrize("step", STEPS)
async def test_a_worker_killed_in_a_step_is_replaced(
    world: World, person: Person, owner: asyncpg.Connection, step: str
) -> None:
    """The process is as good as dead: it neither beats nor writes any more."""
    script, job_id = Script(stop_at=STEPS[step]), await queue(world.database, person)
    deaf = Deaf(world, script)
    await deaf.until_stopped()
    second = Script()
    async with working(world.services, second):
        row = await over(world.services, job_id)
    assert (row["status"], row["attempts"]) == ("succeeded", 2)
    await deaf.wake()
    assert len(await world.database.select("apis", identity=SERVICE)) == 1
    assert await books_agree(owner)


async def test_killed_with_money_set_aside_the_books_agree(
    world: World, person: Person, owner: asyncpg.Connection
) -> None:
    job_id = await queue(world.database, person)
    row = await jobs.claim(world.database, "dead", 9)
    assert row is not None
    values = {"id": str(job_id), "job_id": str(job_id), "claim": 1, "purpose": "code"}
    values |= {"model": "a-model"}
    await model_costs.reserve(world.database, {**values, "nano_usd": 7}, {})
    async with working(world.services, Script()):
        done = await over(world.services, job_id)
    assert done["cost_nano_usd"] == 7 + 4 * CALL_NANO_USD
    assert await books_agree(owner)


@pytest.mark.parametrize("is_stored", [False, True], ids=["storing", "deploying"])
async def test_killed_around_the_storing_there_is_one_api(
    world: World, person: Person, is_stored: bool
) -> None:
    from gateway.operations.job_store import store_outcome

    job_id = await queue(world.database, person)
    row = await jobs.claim(world.database, "dead", 9)
    assert row is not None
    held = jobs.HeldJob(world.database, job_id, 1)
    event, second = checked(), Script()
    await held.advance({"events": [], "checkpoint": {"outcome": dict(event.data)}})
    if is_stored:
        await store_outcome(world.services, held, row, event.data)
    async with working(world.services, second):
        done = await over(world.services, job_id)
    assert (done["status"], second.wishes) == ("succeeded", [])
    assert len(await world.database.select("apis", identity=SERVICE)) == 1
    assert (await kinds(world, job_id)).count("version") == 1


async def test_two_workers_that_both_think_they_have_it_store_one_api(
    world: World, person: Person
) -> None:
    job_id = await queue(world.database, person)
    deaf = Deaf(world, Script([checked()], stop_at=0))
    await deaf.until_stopped()
    async with working(world.services, Script([checked()])):
        await over(world.services, job_id)
        await deaf.wake()
    assert len(await world.database.select("apis", identity=SERVICE)) == 1
    assert len(world.sandboxes.running) == 1


class Deaf:
    """A worker that has stopped in a step and is not heard of, as after kill -9 or in a swap."""

    def __init__(self, world: World, script: Script) -> None:
        self._world = world
        self._script = script
        self._task: asyncio.Task[None] | None = None

    async def until_stopped(self) -> None:
        """Claim and work up to the step."""
        from gateway.operations.job_run import work

        row = await jobs.claim(self._world.database, "deaf", 9)
        assert row is not None
        held = jobs.HeldJob(self._world.database, UUID(row["id"]), row["claims"])
        running = work(self._world.services, self._script.generator, held, row)
        self._task = asyncio.create_task(running)
        await self._script.reached.wait()

    async def wake(self) -> None:
        """It goes on as if nothing had been."""
        assert self._task is not None
        self._script.go.set()
        await asyncio.wait({self._task})


async def books_agree(owner: asyncpg.Connection) -> bool:
    """Ledger, sums and jobs tell the same, and nothing is set aside."""
    return bool(
        await owner.fetchval(
            "select (select coalesce(sum(nano_usd), 0) from public.model_costs)"
            " = (select coalesce(sum(cost_nano_usd), 0) from public.jobs)"
            " and (select coalesce(sum(spent), 0) from private.cost_sums where scope like 'job:%')"
            " = (select coalesce(sum(cost_nano_usd), 0) from public.jobs)"
            " and not exists (select from private.cost_reservations)"
        )
    )


def test_the_table_names_steps_of_the_script() -> None:
    assert all(number < len(GOOD) for number in STEPS.values())
