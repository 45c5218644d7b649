"""Members in SQL: the last owner stays, whoever asks at the same time, whatever is written."""

import asyncio
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from gateway.store.database import SERVICE, Database, DatabaseError, Filter
from gateway.store.embedded import EmbeddedPostgres
from tests.support.factories import Person, add_member, make_tenant, make_user
from tests.support.one_database import one_database

ROUNDS = 5  # of each race


@pytest.fixture(scope="module")
def database_name(postgres: EmbeddedPostgres) -> Iterator[str]:
    with one_database(postgres) as name:
        yield name


@pytest.fixture
async def first(dsn: str) -> Person:
    return await make_user(dsn)


@pytest.fixture
async def second(dsn: str) -> Person:
    return await make_user(dsn)


async def team_of(database: Database, *owners: Person) -> str:
    team = await make_tenant(database, owners[0])
    for each in owners[1:]:
        await add_member(database, team, each.id, "owner")
    return team


async def rpc(database: Database, function: str, **arguments: Any) -> Any:
    named = {f"p_{name}": value for name, value in arguments.items()}
    return await database.rpc(function, named, identity=SERVICE)


async def outcome(call: Any) -> str:
    try:
        await call
    except DatabaseError as error:
        return str(error.code)
    return "done"


async def owners_of(database: Database, team: str) -> set[str]:
    where = [Filter("tenant_id", "eq", team), Filter("role", "eq", "owner")]
    rows = await database.select("tenant_members", identity=SERVICE, where=where)
    return {row["user_id"] for row in rows}


async def owner_id_of(database: Database, team: str) -> str:
    rows = await database.select(
        "tenants", identity=SERVICE, where=[Filter("id", "eq", team)], columns="owner_id"
    )
    return str(rows[0]["owner_id"])


def both_leave(database: Database, team: str, one: Person, other: Person) -> list[Any]:
    return [
        rpc(database, "remove_member", tenant_id=team, user_id=each.id, actor=each.id)
        for each in (one, other)
    ]


def both_take_each_other_down(
    database: Database, team: str, one: Person, other: Person
) -> list[Any]:
    return [
        rpc(
            database, "change_member",
            tenant_id=team, user_id=b.id, role="viewer", actor=a.id,
        )
        for a, b in ((one, other), (other, one))
    ]  # fmt: skip


def one_leaves_the_other_is_removed(
    database: Database, team: str, one: Person, other: Person
) -> list[Any]:
    return [
        rpc(database, "remove_member", tenant_id=team, user_id=one.id, actor=one.id),
        rpc(database, "remove_member", tenant_id=team, user_id=other.id, actor=None),
    ]


@pytest.mark.parametrize(
    "calls", [both_leave, both_take_each_other_down, one_leaves_the_other_is_removed]
)
async def test_two_requests_cannot_both_take_the_last_owner(
    database: Database, first: Person, second: Person, calls: Any
) -> None:
    for _ in range(ROUNDS):
        team = await team_of(database, first, second)
        seen = await asyncio.gather(*map(outcome, calls(database, team, first, second)))
        # who comes second finds no other owner, or is none any more
        assert sorted(seen)[0] == "done"
        assert sorted(seen)[1] in ("last_owner", "forbidden")
        left = await owners_of(database, team)
        assert len(left) == 1
        assert {await owner_id_of(database, team)} == left


async def blocked_or_done(owner: asyncpg.Connection, task: asyncio.Task[None]) -> None:
    waiting = (
        "select exists (select from pg_stat_activity"
        " where datname = current_database() and wait_event_type = 'Lock')"
    )
    async with asyncio.timeout(20):
        while not task.done() and not await owner.fetchval(waiting):
            await asyncio.sleep(0)


async def test_bare_statements_cannot_take_the_last_owner_either(
    database: Database, dsn: str, owner: asyncpg.Connection, first: Person, second: Person
) -> None:
    team = await team_of(database, first, second)
    statement = "delete from public.tenant_members where tenant_id = $1 and user_id = $2"
    # `first` is named by the tenant, so only when it names another may that row go
    moved = "update public.tenants set owner_id = $2 where id = $1"
    one, other = [await asyncpg.connect(dsn) for _ in range(2)]
    try:
        transactions = [one.transaction(), other.transaction()]
        for each in transactions:
            await each.start()
        await one.execute(moved, team, second.id)
        await one.execute(statement, team, first.id)
        await other.execute(statement, team, second.id)
        committing = asyncio.create_task(transactions[1].commit())
        await blocked_or_done(owner, committing)
        await transactions[0].commit()
        with pytest.raises(asyncpg.PostgresError) as caught:
            await committing
    finally:
        await asyncio.gather(one.close(), other.close())
    assert caught.value.sqlstate == "PT409"
    assert await owners_of(database, team) == {second.id}


@pytest.mark.parametrize(
    "statement",
    [
        "delete from public.tenant_members where tenant_id = $1",
        "update public.tenant_members set role = 'admin' where tenant_id = $1",
        "update public.tenants set owner_id = (select id from public.user_profiles"
        " where id <> owner_id limit 1) where id = $1",
    ],
)
async def test_an_owner_who_is_no_owner_cannot_be_written(
    database: Database, owner: asyncpg.Connection, first: Person, second: Person, statement: str
) -> None:
    team = await team_of(database, first)
    with pytest.raises(asyncpg.PostgresError) as caught:
        await owner.execute(statement, team)
    assert caught.value.sqlstate == "PT409"
    assert await owners_of(database, team) == {first.id}


async def test_what_the_end_of_a_transaction_refuses_is_told_as_such(
    database: Database, first: Person
) -> None:
    team = await team_of(database, first)
    where = [Filter("tenant_id", "eq", team)]
    call = database.delete("tenant_members", where=where, identity=SERVICE)
    assert await outcome(call) == "last_owner"
    assert await owners_of(database, team) == {first.id}


async def test_a_person_who_goes_for_good_leaves_an_owner_behind(
    database: Database, owner: asyncpg.Connection, first: Person, second: Person
) -> None:
    team = await make_tenant(database, first)
    await add_member(database, team, second.id, "viewer")
    await owner.execute("delete from public.user_profiles where id = $1", first.id)
    assert await owners_of(database, team) == {second.id}
    assert await owner_id_of(database, team) == second.id


async def test_tenants_made_at_once_are_counted(database: Database, first: Person) -> None:
    def one_more() -> Any:
        values = {"id": str(uuid4()), "name": "x", "actor": first.id, "most": 3}
        return database.rpc("create_own_tenant", {"p": values}, identity=SERVICE)

    seen = await asyncio.gather(*(outcome(one_more()) for _ in range(6)))
    assert sorted(seen) == ["done"] * 3 + ["too_many_tenants"] * 3


async def test_a_repeated_request_makes_one_tenant(database: Database, first: Person) -> None:
    values = {"id": str(uuid4()), "name": "x", "actor": first.id, "most": 1}
    made = [
        await database.rpc("create_own_tenant", {"p": values}, identity=SERVICE) for _ in range(2)
    ]
    assert made[0] == made[1]


async def test_a_role_taken_away_at_the_same_moment_counts_no_more(
    database: Database, dsn: str, first: Person, second: Person
) -> None:
    """The one who is being taken out waits for the tenant, and then may nothing any more."""
    team = await make_tenant(database, first)
    await add_member(database, team, second.id, "admin")
    connection = await asyncpg.connect(dsn)
    try:
        async with connection.transaction():
            await connection.execute(
                "select public.remove_member($1, $2, $3)", team, second.id, first.id
            )
            late = asyncio.create_task(
                outcome(rpc(database, "rename_tenant", tenant_id=team, name="x", actor=second.id))
            )
            await asyncio.wait({late}, timeout=0)
        assert await late == "tenant_not_found"
    finally:
        await connection.close()


async def test_what_becomes_of_members_is_audited(
    database: Database, first: Person, second: Person
) -> None:
    team = await make_tenant(database, first)
    call = {"tenant_id": team, "user_id": second.id}
    await rpc(database, "add_member", **call, role="viewer", actor=None)
    await rpc(database, "change_member", **call, role="admin", actor=first.id)
    await rpc(database, "remove_member", **call, actor=second.id)
    rows = await database.select(
        "audit_log", identity=SERVICE, where=[Filter("target_id", "eq", team)], order="id"
    )
    assert [(row["action"], row["actor"]) for row in rows] == [
        ("member.add", "admin key"),
        ("member.change", first.email),
        ("member.leave", second.email),
    ]
    assert rows[1]["detail"] == {"user_id": second.id, "from": "viewer", "role": "admin"}
