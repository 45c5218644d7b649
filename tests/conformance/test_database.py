"""What every implementation of `Database` does alike."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from functools import partial
from uuid import uuid4

import pytest

from gateway.store.database import (
    ANONYMOUS,
    SERVICE,
    Database,
    DatabaseError,
    Filter,
    Identity,
    Row,
)
from gateway.store.embedded import EmbeddedPostgres
from tests.conftest import TEMPLATE, _administer
from tests.support.both_stores import BOTH, store_of
from tests.support.factories import Person, make_api, make_user, user_identity
from tests.support.one_database import Fresh
from tests.support.postgrest import postgrest


@pytest.fixture(scope="module")
def shared(postgres: EmbeddedPostgres) -> Iterator[tuple[str, Fresh]]:
    """Name of one database for all these tests, since a PostgREST serves only one."""
    name = f"shared_{uuid4().hex[:12]}"
    asyncio.run(_administer(postgres, f"create database {name} template {TEMPLATE}"))
    yield name, asyncio.run(Fresh.of(postgres.dsn("supabase_admin", name)))
    asyncio.run(_administer(postgres, f"drop database {name} with (force)"))


@pytest.fixture
async def database_name(
    postgres: EmbeddedPostgres, shared: tuple[str, Fresh]
) -> AsyncIterator[str]:
    name, fresh = shared
    yield name
    await fresh.restore(postgres.dsn("supabase_admin", name))


@pytest.fixture(scope="module")
def rest(postgres: EmbeddedPostgres, shared: tuple[str, Fresh]) -> Iterator[str]:
    """Address of a PostgREST on the same database."""
    with postgrest(postgres.socket_dir, shared[0]) as running:
        yield running.url


@pytest.fixture(params=BOTH)
async def store(request: pytest.FixtureRequest, database: Database) -> AsyncIterator[Database]:
    """Each implementation in turn, on the same database."""
    address = partial(request.getfixturevalue, "rest")
    async with store_of(request.param, database, address) as opened:
        yield opened


@pytest.fixture
async def person(dsn: str) -> Person:
    return await make_user(dsn)


def plan(name: str, hour: int = 5) -> Row:
    return {"name": name, "limits": {"hour": hour}}


async def test_inserted_rows_come_back_as_stored(store: Database) -> None:
    rows = await store.insert("plans", [plan("gold"), plan("silver")], identity=SERVICE)
    assert [row["name"] for row in rows] == ["gold", "silver"]
    assert all(row["limits"] == {"hour": 5} for row in rows)


async def test_dates_and_ids_are_text(store: Database, person: Person) -> None:
    row = (await store.select("tenants", identity=person.identity))[0]
    assert row["id"] == person.tenant_id
    assert row["created_at"][10] == "T"
    assert row["created_at"].endswith("+00:00")


async def test_inserting_nothing_does_nothing(store: Database) -> None:
    assert await store.insert("plans", [], identity=SERVICE) == []


async def test_rows_of_different_shape_are_refused(store: Database) -> None:
    with pytest.raises(ValueError, match="same columns"):
        await store.insert("plans", [plan("gold"), {"name": "tin"}], identity=SERVICE)


async def test_select_names_columns_and_order(store: Database) -> None:
    rows = await store.select("plans", identity=SERVICE, columns="name", order="name.desc")
    assert rows == [{"name": "pro"}, {"name": "free"}, {"name": "enterprise"}]


async def test_select_pages(store: Database) -> None:
    rows = await store.select(
        "plans", identity=SERVICE, columns="name", order="name", limit=1, offset=1
    )
    assert rows == [{"name": "free"}]


async def test_select_never_gives_more_than_a_thousand_rows(store: Database) -> None:
    rows = [plan(f"p{number}") for number in range(1100)]
    await store.insert("plans", rows, identity=SERVICE)
    assert len(await store.select("plans", identity=SERVICE, limit=5000)) == 1000


@pytest.mark.parametrize(
    ("condition", "names"),
    [
        (Filter("name", "eq", "free"), ["free"]),
        (Filter("name", "neq", "free"), ["enterprise", "pro"]),
        (Filter("name", "gt", "free"), ["pro"]),
        (Filter("name", "gte", "free"), ["free", "pro"]),
        (Filter("name", "lt", "free"), ["enterprise"]),
        (Filter("name", "lte", "free"), ["enterprise", "free"]),
        (Filter("name", "in", ["pro", "free", "none"]), ["free", "pro"]),
        (Filter("name", "in", []), []),
        (Filter("name", "like", "%r%e"), ["enterprise", "free"]),
        (Filter("name", "ilike", "PRO"), ["pro"]),
        (Filter("name", "ilike", "*R*"), []),
        (Filter("name", "like", "*"), []),
        (Filter("name", "in", ['a"b', "a,b", "(", "free\\"]), []),
        (
            Filter("name", "in", [f"n{number}" for number in range(250)] + ["pro", "free"]),
            ["free", "pro"],
        ),
        (Filter("name", "eq", "null"), []),
        (Filter("name", "is", None), []),
        (Filter("name", "eq", "x' or 'x'='x"), []),
    ],
)
async def test_filter(store: Database, condition: Filter, names: list[str]) -> None:
    rows = await store.select("plans", identity=SERVICE, where=[condition], order="name")
    assert [row["name"] for row in rows] == names


async def test_filters_are_joined_by_and(store: Database) -> None:
    where = [Filter("name", "gt", "a"), Filter("name", "lt", "f")]
    rows = await store.select("plans", identity=SERVICE, where=where)
    assert [row["name"] for row in rows] == ["enterprise"]


async def test_boolean_filter(store: Database, person: Person) -> None:
    where = [Filter("is_admin", "is", False), Filter("id", "eq", person.id)]
    assert len(await store.select("user_profiles", identity=SERVICE, where=where)) == 1


async def test_a_value_of_the_wrong_type_is_a_database_error(store: Database) -> None:
    with pytest.raises(DatabaseError) as caught:
        await store.select("apis", identity=SERVICE, where=[Filter("id", "eq", "no uuid")])
    assert caught.value.sqlstate == "22P02"


@pytest.mark.parametrize(
    ("name", "pattern", "is_found"),
    [
        ("a*b", "A*b", True),
        ("a.b", "a*b", False),
        ("axb", "a*b", False),
        ("a\nb*c(", "A%*_(", True),
        ("a%b*", r"a\%b*", True),
        ("axb*", r"a\%b*", False),
    ],
)
async def test_a_star_in_a_pattern_is_a_star(
    store: Database, person: Person, name: str, pattern: str, is_found: bool
) -> None:
    mine = Filter("id", "eq", person.tenant_id)
    await store.update("tenants", {"name": name}, where=[mine], identity=SERVICE)
    rows = await store.select(
        "tenants", identity=SERVICE, where=[mine, Filter("name", "ilike", pattern)]
    )
    assert bool(rows) is is_found


async def test_long_lists_find_each_row_once(store: Database) -> None:
    names = [f"p{number:03}" for number in range(230)]
    await store.insert("plans", [plan(name) for name in names], identity=SERVICE)
    rows = await store.select(
        "plans", identity=SERVICE, where=[Filter("name", "in", [*names, *names])]
    )
    assert sorted(row["name"] for row in rows) == names
    few = await store.select(
        "plans", identity=SERVICE, where=[Filter("name", "in", names)], limit=120
    )
    assert len(few) == 120


async def test_upsert_inserts_and_then_overwrites(store: Database) -> None:
    for hour in (1, 2):
        rows = await store.upsert(
            "plans", [plan("gold", hour)], on_conflict=["name"], identity=SERVICE
        )
        assert rows[0]["limits"] == {"hour": hour}


async def test_update_changes_what_matches(store: Database) -> None:
    rows = await store.update(
        "plans", {"limits": {"day": 1}}, where=[Filter("name", "eq", "free")], identity=SERVICE
    )
    assert [(row["name"], row["limits"]) for row in rows] == [("free", {"day": 1})]


async def test_update_can_set_null(store: Database, dsn: str) -> None:
    person = await make_user(dsn, "someone@example.com")
    rows = await store.update(
        "user_profiles", {"email": None}, where=[Filter("id", "eq", person.id)], identity=SERVICE
    )
    assert rows[0]["email"] is None


async def test_delete_removes_what_matches(store: Database) -> None:
    await store.insert("plans", [plan("gold")], identity=SERVICE)
    gone = await store.delete("plans", where=[Filter("name", "eq", "gold")], identity=SERVICE)
    assert [row["name"] for row in gone] == ["gold"]
    assert len(await store.select("plans", identity=SERVICE)) == 3


async def test_update_and_delete_without_condition_are_refused(store: Database) -> None:
    with pytest.raises(ValueError, match="which rows"):
        await store.update("plans", {"name": "x"}, where=[], identity=SERVICE)
    with pytest.raises(ValueError, match="which rows"):
        await store.delete("plans", where=[], identity=SERVICE)


@pytest.mark.parametrize("name", ["na me", 'name"', "name;drop", "Name", "name--"])
async def test_odd_identifiers_are_refused(store: Database, name: str) -> None:
    with pytest.raises(ValueError, match="not the name of a column"):
        await store.select("plans", identity=SERVICE, where=[Filter(name, "eq", "x")])
    with pytest.raises(ValueError, match="not the name of a column"):
        await store.insert("plans", [{name: "x"}], identity=SERVICE)


async def test_unknown_table_column_and_function(store: Database) -> None:
    with pytest.raises(DatabaseError) as table:
        await store.select("nothing_here", identity=SERVICE)
    with pytest.raises(DatabaseError) as column:
        await store.select("plans", identity=SERVICE, columns="nothing_here")
    with pytest.raises(DatabaseError) as function:
        await store.rpc("nothing_here", {}, identity=SERVICE)
    with pytest.raises(DatabaseError) as stored:
        await store.insert("plans", [{"nothing_here": 1}], identity=SERVICE)
    states = [caught.value.sqlstate for caught in (table, column, function, stored)]
    assert states == ["PGRST205", "42703", "PGRST202", "42703"]


async def test_function_with_missing_or_unknown_arguments(store: Database) -> None:
    for arguments in ({}, {"p_ref": "x", "p_more": 1}):
        with pytest.raises(DatabaseError) as caught:
            await store.rpc("gateway_route", arguments, identity=SERVICE)
        assert caught.value.sqlstate == "PGRST202"


async def test_function_default_arguments_may_be_left_out(store: Database, person: Person) -> None:
    api = await make_api(store, person.tenant_id)
    assert await store.rpc("bump_generation", {"p_api_id": api.id}, identity=SERVICE) == 2


async def test_a_null_value_is_none(store: Database) -> None:
    assert await store.rpc("gateway_route", {"p_ref": "unknown"}, identity=SERVICE) is None


async def test_unique_violation_keeps_its_code(store: Database) -> None:
    with pytest.raises(DatabaseError) as caught:
        await store.insert("plans", [plan("free")], identity=SERVICE)
    assert caught.value.sqlstate == "23505"
    assert caught.value.status == 500
    assert "plans" not in caught.value.detail  # internals are not public


async def test_our_own_outcome_is_a_problem_of_that_status(store: Database) -> None:
    with pytest.raises(DatabaseError) as caught:
        await store.rpc("revoke_key", {"p_key_id": str(uuid4())}, identity=SERVICE)
    error = caught.value
    assert (error.sqlstate, error.status, error.code) == ("PT404", 404, "key_not_found")
    assert error.detail == "There is no such key."


async def test_a_user_reads_as_that_user(store: Database, person: Person, dsn: str) -> None:
    stranger = await make_user(dsn)
    rows = await store.select("tenants", identity=person.identity)
    assert [row["id"] for row in rows] == [person.tenant_id]
    rows = await store.select("tenants", identity=stranger.identity)
    assert [row["id"] for row in rows] == [stranger.tenant_id]


async def test_identities_do_not_leak_into_the_next_call(store: Database, person: Person) -> None:
    for _ in range(20):
        await store.select("tenants", identity=person.identity)
        assert len(await store.select("plans", identity=ANONYMOUS)) == 3
        with pytest.raises(DatabaseError) as caught:
            await store.select("tenants", identity=ANONYMOUS)
        assert caught.value.sqlstate == "42501"
        assert len(await store.select("tenants", identity=SERVICE)) == 1


async def test_a_user_may_not_write(store: Database, person: Person) -> None:
    with pytest.raises(DatabaseError) as caught:
        await store.update(
            "tenants",
            {"plan": "pro"},
            where=[Filter("id", "eq", person.tenant_id)],
            identity=person.identity,
        )
    assert caught.value.sqlstate == "42501"


async def test_claims_are_data_and_never_sql(store: Database) -> None:
    rows = await store.select("tenants", identity=user_identity(str(uuid4()), "o'neil\"; --"))
    assert rows == []


async def test_a_refused_call_leaves_nothing(store: Database) -> None:
    with pytest.raises(DatabaseError):
        await store.insert("plans", [plan("gold"), plan("free")], identity=SERVICE)
    where = [Filter("name", "eq", "gold")]
    assert await store.select("plans", identity=SERVICE, where=where) == []


async def test_large_and_odd_text_survives(store: Database, person: Person) -> None:
    code = "# ünï ☃ 𝄞 ' \" \\ $1 %s {}\n" * 20_000
    api = await make_api(store, person.tenant_id, code=code)
    stored = await store.rpc("gateway_code", {"p_version_id": api.version_id}, identity=SERVICE)
    assert stored["code"] == code


async def test_text_that_postgres_cannot_hold_is_an_error(store: Database) -> None:
    with pytest.raises(DatabaseError) as caught:
        await store.insert("plans", [{"name": "a\0b"}], identity=SERVICE)
    assert caught.value.sqlstate == "22P05"


@pytest.mark.parametrize("text", ["a\0b", "a\ud800b"])
async def test_text_that_postgres_cannot_hold_finds_nothing(store: Database, text: str) -> None:
    with pytest.raises(DatabaseError):
        await store.select("plans", identity=SERVICE, where=[Filter("name", "eq", text)])
    with pytest.raises(DatabaseError):
        await store.rpc("gateway_route", {"p_ref": text}, identity=SERVICE)


async def test_a_function_without_value_answers_none(store: Database) -> None:
    arguments = {"p_id": str(uuid4())}
    assert await store.rpc("gateway_left", arguments, identity=SERVICE) is None


async def test_a_log_keeps_what_postgres_can_hold(store: Database, person: Person) -> None:
    api = await make_api(store, person.tenant_id)
    document = {"title": "a\0b\ud800", "z": 1, "a": [2.5, 10**18]}
    arguments = {"p_version_id": api.version_id, "p_document": document}
    assert await store.rpc("set_version_openapi", arguments, identity=SERVICE) is True
    rows = await store.select(
        "api_versions",
        identity=SERVICE,
        columns="openapi",
        where=[Filter("id", "eq", api.version_id)],
    )
    assert list(rows[0]["openapi"].items()) == [
        ("title", "a\ufffdb\ufffd"),
        ("z", 1),
        ("a", [2.5, 10**18]),
    ]


async def test_both_ways_answer_the_same(
    store: Database, database: Database, person: Person, dsn: str
) -> None:
    stranger = await make_user(dsn)
    api = await make_api(database, person.tenant_id)
    asked: list[tuple[str, Identity]] = [
        (table, identity)
        for table in ("tenants", "apis", "api_versions", "user_profiles", "plans")
        for identity in (SERVICE, person.identity, stranger.identity)
    ]
    for table, identity in asked:
        here = await store.select(table, identity=identity)
        there = await database.select(table, identity=identity)
        key = json.dumps
        assert sorted(map(key, here)) == sorted(map(key, there))
    for function, arguments in (
        ("gateway_route", {"p_ref": api.slug}),
        ("gateway_code", {"p_version_id": api.version_id}),
        ("gateway_key", {"p_key_hash": api.key.key_hash}),
        ("gateway_generation", {}),
    ):
        here = await store.rpc(function, arguments, identity=SERVICE)
        there = await database.rpc(function, arguments, identity=SERVICE)
        assert json.dumps(here) == json.dumps(there)
