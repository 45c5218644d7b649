"""Caps on cost hold over a direct connection and over PostgREST, whoever asks at once."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from functools import partial
from uuid import UUID

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.store import jobs, model_costs
from gateway.store.database import SERVICE, Database
from gateway.store.embedded import EmbeddedPostgres
from gateway.store.jobs import HeldJob
from gateway.store.postgres import PostgresDatabase
from tests.support.both_stores import BOTH, store_of
from tests.support.factories import Person, make_tenant, make_user
from tests.support.jobs import claimed, queue
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


async def test_a_call_is_settled_once_and_told_in_the_job(store: Database, person: Person) -> None:
    await queue(store, person)
    job = await claimed(store)
    reservation, answer = await reserve(store, job, 500)
    assert answer == {}
    assert [await model_costs.settle(store, spent(reservation, 321)) for _ in range(2)] == [
        321,
        321,
    ]
    rows = await model_costs.of_job(store, person.identity, job.id)
    assert [(row["nano_usd"], row["reserved_nano_usd"], row["stop"]) for row in rows] == [
        (321, 500, "end_turn")
    ]


@pytest.mark.parametrize(
    ("caps", "name"),
    [({"job": 99}, "job"), ({"user_day": 99}, "user"), ({"day": 99}, "day")],
)
async def test_each_cap_says_no_before_the_call(
    store: Database, person: Person, caps: dict[str, int], name: str
) -> None:
    await queue(store, person)
    _, answer = await reserve(store, await claimed(store), 100, **caps)
    assert answer["cap"] == name


async def test_the_plan_says_no_too(store: Database, person: Person) -> None:
    await queue(store, person)
    caps = {"month_nano_usd": 50}
    await model_costs.set_caps(store, UUID(person.tenant_id), caps, None)
    _, answer = await reserve(store, await claimed(store), 51)
    assert answer["cap"] == "plan"
    _, answer = await reserve(store, await claimed_again(store, person), 50)
    assert answer == {}


async def claimed_again(store: Database, person: Person) -> HeldJob:
    await queue(store, person)
    return await claimed(store)


async def test_what_was_set_aside_and_not_spent_is_there_again(
    store: Database, person: Person
) -> None:
    await queue(store, person)
    job = await claimed(store)
    for _ in range(5):
        reservation, answer = await reserve(store, job, 1000)
        assert answer == {}
        await model_costs.release(store, reservation)
    assert await model_costs.of_job(store, SERVICE, job.id) == []


async def test_what_a_dead_worker_had_set_aside_counts_as_spent(
    store: Database, person: Person, owner: asyncpg.Connection
) -> None:
    await queue(store, person)
    job = await claimed(store)
    await reserve(store, job, 600)
    await dies(owner, job.id)
    await jobs.reclaim(store, 15, 3)
    rows = await model_costs.of_job(store, SERVICE, job.id)
    assert [(row["nano_usd"], row["stop"]) for row in rows] == [(600, "lost")]
    row = await jobs.find(store, SERVICE, job.id)
    assert row is not None
    assert row["cost_nano_usd"] == 600


async def test_callers_at_once_never_pass_a_cap(store: Database, person: Person, dsn: str) -> None:
    team = await make_tenant(store, person)
    for tenant in (person.tenant_id, team):
        await queue(store, person, tenant_id=tenant)
    held = [await claimed(store), await claimed(store)]
    answers = await asyncio.gather(
        *(reserve(store, held[n % 2], 100, user_day=550) for n in range(16))
    )
    assert sum(answer == {} for _, answer in answers) == 5


Step = tuple[str, int, int]  # what, which job or reservation, how much
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["reserve", "reserve", "settle", "release", "die"]),
        st.integers(0, 5),
        st.integers(0, 400),
    ),
    max_size=25,
)


@given(STEPS)
@settings(
    max_examples=15,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_whatever_happens_no_cap_is_passed_and_the_books_agree(
    postgres: EmbeddedPostgres, shared: str, steps: list[Step]
) -> None:
    asyncio.run(_history(postgres, shared, steps))


async def _history(postgres: EmbeddedPostgres, name: str, steps: list[Step]) -> None:
    dsn = postgres.dsn("postgres", name)
    owner = await asyncpg.connect(dsn)
    try:
        async with await PostgresDatabase.connect(postgres.socket_dir, database=name) as store:
            await owner.execute(CLEAR)
            person = await make_user(dsn)
            held = []
            for _ in range(2):
                await queue(store, person)
                held.append(await claimed(store))
            open_ones: list[tuple[UUID, int]] = []
            for what, which, amount in steps:
                if what == "reserve":
                    reservation, answer = await reserve(
                        store, held[which % 2], amount, job=700, user_day=1000, day=1100
                    )
                    open_ones += [(reservation, amount)] if answer == {} else []
                elif what == "die":
                    await dies(owner, held[which % 2].id)
                    await jobs.reclaim(store, 15, 1000)
                    held[which % 2] = await claimed(store)
                elif open_ones:
                    reservation, most = open_ones.pop(which % len(open_ones))
                    if what == "settle":
                        await model_costs.settle(store, spent(reservation, min(amount, most)))
                    else:
                        await model_costs.release(store, reservation)
                await _agree(owner)
    finally:
        await owner.close()


async def _agree(owner: asyncpg.Connection) -> None:
    """No scope above its cap; ledger, sums and jobs tell the same."""
    sums = await owner.fetch("select scope, spent + reserved as used from private.cost_sums")
    most = {"job": 700, "user": 1000, "all": 1100, "tenant": 10**12}
    assert all(row["used"] <= most[row["scope"].partition(":")[0]] for row in sums)
    ledger, spent_in_all, in_jobs = (
        await owner.fetchval("select coalesce(sum(nano_usd), 0) from public.model_costs"),
        await owner.fetchval(
            "select coalesce(sum(spent), 0) from private.cost_sums where scope like 'all:%'"
        ),
        await owner.fetchval("select coalesce(sum(cost_nano_usd), 0) from public.jobs"),
    )
    assert ledger == spent_in_all == in_jobs
