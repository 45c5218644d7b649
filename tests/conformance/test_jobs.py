"""Jobs and their costs do the same over a direct connection and over PostgREST."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from functools import partial
from uuid import UUID, uuid4

import asyncpg
import pytest

from gateway.store import jobs, model_costs
from gateway.store.database import SERVICE, Database, DatabaseError, Filter
from gateway.store.documents import StoredDocument
from gateway.store.embedded import EmbeddedPostgres
from tests.support.both_stores import BOTH, store_of
from tests.support.factories import Person, make_user
from tests.support.jobs import claimed, new_job, queue
from tests.support.model_costs import CLEAR, dies, reserve, spent
from tests.support.one_database import one_database
from tests.support.postgrest import postgrest


@pytest.fixture(scope="module")
def shared(postgres: EmbeddedPostgres) -> Iterator[str]:
    """One database, since a PostgREST serves only one; everybody in it is a test's own."""
    with one_database(postgres) as name:
        yield name


@pytest.fixture
def database_name(shared: str) -> str:
    return shared


@pytest.fixture(scope="module")
def rest(postgres: EmbeddedPostgres, shared: str) -> Iterator[str]:
    with postgrest(postgres.socket_dir, shared) as running:
        yield running.url


@pytest.fixture(params=BOTH)
async def store(
    request: pytest.FixtureRequest, database: Database, owner: asyncpg.Connection
) -> AsyncIterator[Database]:
    """Each implementation in turn, without jobs of the tests before."""
    await owner.execute(CLEAR)
    address = partial(request.getfixturevalue, "rest")
    async with store_of(request.param, database, address) as opened:
        yield opened


@pytest.fixture
async def person(dsn: str) -> Person:
    return await make_user(dsn)


async def status_of(store: Database, job_id: UUID) -> str:
    row = await jobs.find(store, SERVICE, job_id)
    assert row is not None
    return str(row["status"])


async def kinds_of(store: Database, job_id: UUID) -> list[str]:
    return [row["kind"] for row in await jobs.events(store, SERVICE, job_id, 0)]


# --- the queue --------------------------------------------------------------------------------


async def test_the_oldest_is_claimed_first_and_once(store: Database, person: Person) -> None:
    first, second = await queue(store, person), await queue(store, person)
    found = [await jobs.claim(store, "w", 9) for _ in range(3)]
    assert [row and row["id"] for row in found] == [str(first), str(second), None]


async def test_who_runs_little_comes_before_who_runs_much(
    store: Database, person: Person, dsn: str
) -> None:
    await queue(store, person)
    await queue(store, person)
    late = await queue(store, await make_user(dsn))
    await claimed(store)
    assert (await claimed(store)).id == late


async def test_a_tenant_runs_no_more_than_its_share(store: Database, person: Person) -> None:
    for _ in range(2):
        await queue(store, person)
    assert await jobs.claim(store, "w", 1) is not None
    assert await jobs.claim(store, "w", 1) is None


async def test_many_workers_at_once_never_claim_the_same(store: Database, person: Person) -> None:
    made = {str(await queue(store, person)) for _ in range(6)}
    rows = await asyncio.gather(*(jobs.claim(store, f"w{n}", 9) for n in range(10)))
    found = [row["id"] for row in rows if row is not None]
    assert len(found) == len(set(found)) <= len(made)


async def test_a_job_of_a_suspended_tenant_stays_where_it_is(
    store: Database, person: Person
) -> None:
    await queue(store, person)
    where = [Filter("id", "eq", person.tenant_id)]
    await store.update("tenants", {"status": "suspended"}, where=where, identity=SERVICE)
    assert await jobs.claim(store, "w", 9) is None


async def test_the_same_key_is_the_same_job(store: Database, person: Person) -> None:
    asked = new_job(person, idempotency_key="k", request_hash="h")
    first = (await jobs.create(store, [asked], 9))[0]
    again = (await jobs.create(store, [{**asked, "id": str(uuid4())}], 9))[0]
    assert (again.id, again.is_new) == (first.id, False)


async def test_the_same_key_with_another_request_is_refused(
    store: Database, person: Person
) -> None:
    await jobs.create(store, [new_job(person, idempotency_key="k", request_hash="h")], 9)
    with pytest.raises(DatabaseError) as refused:
        await jobs.create(store, [new_job(person, idempotency_key="k", request_hash="x")], 9)
    assert refused.value.code == "idempotency_key_reused"


async def test_a_batch_is_made_whole_or_not_at_all(store: Database, person: Person) -> None:
    with pytest.raises(DatabaseError) as refused:
        await jobs.create(store, [new_job(person) for _ in range(3)], 2)
    assert refused.value.code == "too_many_jobs"
    assert await jobs.page(store, person.identity, [], 10, 0) == []


async def test_who_may_only_look_makes_no_job(store: Database, person: Person, dsn: str) -> None:
    stranger = await make_user(dsn)
    with pytest.raises(DatabaseError) as refused:
        await jobs.create(store, [{**new_job(person), "created_by": stranger.id}], 9)
    assert refused.value.code == "tenant_not_found"


# --- while it runs ----------------------------------------------------------------------------


async def test_events_are_numbered_without_a_gap(store: Database, person: Person) -> None:
    await queue(store, person)
    job = await claimed(store)
    one = {"kind": "writing", "text": "It is written.", "data": {"characters": 5}}
    await asyncio.gather(*(job.advance({"events": [one, one]}) for _ in range(5)))
    rows = await jobs.events(store, person.identity, job.id, 0)
    assert [row["n"] for row in rows] == list(range(1, 12))
    assert [row["n"] for row in await jobs.events(store, SERVICE, job.id, 9)] == [10, 11]


async def test_a_silent_worker_loses_its_job_and_another_goes_on(
    store: Database, person: Person, owner: asyncpg.Connection
) -> None:
    await queue(store, person)
    dead = await claimed(store)
    await dead.advance({"events": [], "checkpoint": {"body": "x = 1", "round": 1}})
    await dies(owner, dead.id)
    assert await jobs.reclaim(store, 15, 3) == 1
    row = await jobs.claim(store, "other", 9)
    assert row is not None
    assert (row["attempts"], row["checkpoint"]) == (2, {"body": "x = 1", "round": 1})


async def test_who_lost_a_job_writes_nothing_any_more(
    store: Database, person: Person, owner: asyncpg.Connection
) -> None:
    await queue(store, person)
    dead = await claimed(store)
    await dies(owner, dead.id)
    await jobs.reclaim(store, 15, 3)
    alive = await claimed(store)
    said = [{"kind": "failed", "text": "x", "data": {}}]
    assert await dead.beat() == "leave"
    assert not await dead.advance({"events": said})
    assert not await dead.finish("failed", {"code": "x", "reason": "x"}, said)
    assert not await dead.put_back(None, said)
    assert await dead.store({}, {}, said, StoredDocument(None, "none")) is None
    assert await alive.beat() == "go"
    assert "failed" not in await kinds_of(store, alive.id)


async def test_a_job_that_kills_its_workers_fails_with_the_reason(
    store: Database, person: Person, owner: asyncpg.Connection
) -> None:
    job_id = await queue(store, person)
    for _ in range(3):
        await dies(owner, (await claimed(store)).id)
        await jobs.reclaim(store, 15, 3)
    row = await jobs.find(store, person.identity, job_id)
    assert row is not None
    assert (row["status"], row["failure"]["code"]) == ("failed", "worker_died")


async def test_handing_a_job_back_is_no_attempt(store: Database, person: Person) -> None:
    await queue(store, person)
    for _ in range(5):
        assert await (await claimed(store)).put_back(None, [])
    row = await jobs.claim(store, "w", 9)
    assert row is not None
    assert row["attempts"] == 1


async def test_a_queued_job_is_cancelled_at_once(store: Database, person: Person) -> None:
    job_id = await queue(store, person)
    for _ in range(2):
        await jobs.cancel(store, job_id, UUID(person.id))
    assert await status_of(store, job_id) == "cancelled"
    assert await kinds_of(store, job_id) == ["queued", "cancelled"]


async def test_a_running_job_is_told_to_end(store: Database, person: Person) -> None:
    await queue(store, person)
    job = await claimed(store)
    await jobs.cancel(store, job.id, UUID(person.id))
    assert await job.beat() == "cancel"
    assert await status_of(store, job.id) == "running"


async def test_a_cancelled_job_whose_worker_died_is_over(
    store: Database, person: Person, owner: asyncpg.Connection
) -> None:
    await queue(store, person)
    job = await claimed(store)
    await jobs.cancel(store, job.id, UUID(person.id))
    await dies(owner, job.id)
    await jobs.reclaim(store, 15, 3)
    assert await status_of(store, job.id) == "cancelled"


async def test_the_kill_switch_stops_new_queued_and_running_jobs(
    store: Database, person: Person
) -> None:
    await queue(store, person)
    job = await claimed(store)
    await job.put_back(None, [])
    job = await claimed(store)
    stop = {"p_name": "generation", "p_stopped": True, "p_reason": "a key leaked"}
    await store.rpc("set_switch", stop, identity=SERVICE)
    try:
        assert await job.beat() == "stop"
        with pytest.raises(DatabaseError) as refused:
            await reserve(store, job, 1)
        assert refused.value.code == "stopped"
        await job.put_back(None, [])
        assert await jobs.claim(store, "w", 9) is None
        with pytest.raises(DatabaseError) as refused:
            await queue(store, person)
        assert refused.value.code == "stopped"
    finally:
        await store.rpc("set_switch", {**stop, "p_stopped": False}, identity=SERVICE)
    assert await jobs.claim(store, "w", 9) is not None


async def test_a_job_that_waits_is_claimed_once_it_is_answered(
    store: Database, person: Person
) -> None:
    await queue(store, person)
    job = await claimed(store)
    await job.advance({"events": [], "contract": {"title": "theirs"}})
    await job.put_back("approval", [])
    assert await jobs.claim(store, "w", 9) is None
    await jobs.answer(store, job.id, {"contract": {"title": "mine"}}, UUID(person.id))
    row = await jobs.claim(store, "w", 9)
    assert row is not None
    assert row["is_approved"]
    last = (await jobs.told(store, job.id, ["contract", "written"]))[-1]
    assert last["data"] == {"contract": {"title": "mine"}}


async def test_what_was_over_long_ago_goes_and_its_costs_stay(
    store: Database, person: Person, owner: asyncpg.Connection
) -> None:
    await queue(store, person)
    job = await claimed(store)
    reservation, _ = await reserve(store, job, 10)
    await model_costs.settle(store, spent(reservation, 7))
    await job.finish("succeeded", None, [])
    await owner.execute("update public.jobs set finished_at = now() - interval '91 days'")
    assert await jobs.purge(store, 90) == 1
    assert await jobs.find(store, SERVICE, job.id) is None
    assert [row["nano_usd"] for row in await model_costs.of_job(store, SERVICE, job.id)] == [7]
