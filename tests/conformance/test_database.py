"""What every implementation of `Database` does alike."""

from uuid import uuid4

import pytest

from gateway.store.database import (
    ANONYMOUS,
    SERVICE,
    Database,
    DatabaseError,
    Filter,
    Row,
)
from tests.support.factories import Person, make_api, make_user, user_identity


@pytest.fixture(params=["postgres"])
async def store(request: pytest.FixtureRequest, database: Database) -> Database:
    """Each implementation in turn, on the same database."""
    implementations = {"postgres": database}
    return implementations[request.param]


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
    states = [caught.value.sqlstate for caught in (table, column, function)]
    assert states == ["PGRST205", "42703", "PGRST202"]


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
