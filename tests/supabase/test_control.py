"""Changing APIs, keys and tenants: what is refused, what is audited, what is announced."""

import asyncio
import json
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from gateway.store.database import SERVICE, Database, DatabaseError, Filter
from tests.support.factories import MadeApi, Person, make_api, make_key, make_tenant, make_user


@pytest.fixture
async def person(dsn: str) -> Person:
    return await make_user(dsn)


@pytest.fixture
async def admin(dsn: str) -> Person:
    return await make_user(dsn, is_admin=True)


@pytest.fixture
async def api(database: Database, person: Person) -> MadeApi:
    return await make_api(database, person.tenant_id, created_by=person.id, name="weather")


async def rpc(database: Database, function: str, **arguments: Any) -> Any:
    named = {f"p_{name}" if name != "p" else "p": value for name, value in arguments.items()}
    return await database.rpc(function, named, identity=SERVICE)


async def refused(call: Any) -> tuple[int, str]:
    with pytest.raises(DatabaseError) as caught:
        await call
    return caught.value.status, caught.value.code


# --- APIs ---------------------------------------------------------------------------------


async def test_update_changes_only_what_is_named(database: Database, api: MadeApi) -> None:
    changed = await rpc(database, "update_api", api_id=api.id, p={"limits": {"day": 5}})
    assert (changed["name"], changed["limits"]) == ("weather", {"day": 5})
    changed = await rpc(database, "update_api", api_id=api.id, p={"name": "rain"})
    assert (changed["name"], changed["limits"], changed["version"]) == ("rain", {"day": 5}, 1)


async def test_update_to_a_taken_name(database: Database, person: Person, api: MadeApi) -> None:
    await make_api(database, person.tenant_id, name="rain")
    call = rpc(database, "update_api", api_id=api.id, p={"name": "rain"})
    assert await refused(call) == (409, "name_taken")


@pytest.mark.parametrize("limits", [{"hour": 0}, {"hour": -5}, {"year": 1}, None, "x"])
async def test_update_with_unusable_limits(database: Database, api: MadeApi, limits: Any) -> None:
    call = rpc(database, "update_api", api_id=api.id, p={"limits": limits})
    assert await refused(call) == (422, "invalid_limits")


async def test_unlimited_is_null(database: Database, api: MadeApi) -> None:
    changed = await rpc(database, "update_api", api_id=api.id, p={"limits": {"hour": None}})
    assert changed["limits"] == {"hour": None}


async def test_pause_and_resume(database: Database, person: Person, api: MadeApi) -> None:
    for status in ("paused", "active"):
        changed = await rpc(
            database, "update_api", api_id=api.id, p={"status": status}, actor=person.id
        )
        assert changed["status"] == status


async def test_suspension_is_the_administrators(
    database: Database, person: Person, admin: Person, api: MadeApi
) -> None:
    suspend = {"status": "suspended"}
    call = rpc(database, "update_api", api_id=api.id, p=suspend, actor=person.id)
    assert await refused(call) == (403, "api_suspended")
    await rpc(database, "update_api", api_id=api.id, p=suspend, actor=admin.id)
    for status in ("active", "paused"):
        call = rpc(database, "update_api", api_id=api.id, p={"status": status}, actor=person.id)
        assert await refused(call) == (403, "api_suspended")
    changed = await rpc(database, "update_api", api_id=api.id, p={"status": "active"})
    assert changed["status"] == "active"


async def test_unknown_api(database: Database) -> None:
    needed: dict[str, dict[str, Any]] = {"update_api": {"p": {}}}
    for function in ("update_api", "delete_api", "bump_generation"):
        call = rpc(database, function, api_id=str(uuid4()), **needed.get(function, {}))
        assert await refused(call) == (404, "api_not_found")


async def test_a_reload_many_ask_for_happens_once(database: Database, api: MadeApi) -> None:
    answers = await asyncio.gather(
        *(rpc(database, "bump_generation", api_id=api.id, expected=1) for _ in range(10))
    )
    assert set(answers) == {2}


async def test_a_reload_without_expectation_always_happens(
    database: Database, api: MadeApi
) -> None:
    assert [await rpc(database, "bump_generation", api_id=api.id) for _ in range(2)] == [2, 3]


async def test_delete_takes_everything_but_the_record(
    database: Database, person: Person, api: MadeApi
) -> None:
    other = await make_api(database, person.tenant_id)
    shared = await make_key(database, person.tenant_id, [api.id, other.id])
    gone = await rpc(database, "delete_api", api_id=api.id, actor=person.id)
    assert gone["id"] == api.id
    assert await rpc(database, "gateway_route", ref=api.id) is None
    assert await rpc(database, "gateway_code", version_id=api.version_id) is None
    own = await rpc(database, "gateway_key", key_hash=api.key.key_hash)
    assert own["revoked_at"] is not None
    kept = await rpc(database, "gateway_key", key_hash=shared.key_hash)
    assert (kept["revoked_at"], kept["api_ids"]) == (None, [other.id])
    where = [Filter("action", "eq", "api.delete")]
    entries = await database.select("audit_log", identity=SERVICE, where=where)
    assert [entry["target_id"] for entry in entries] == [api.id]


# --- keys ---------------------------------------------------------------------------------


async def test_what_the_gateway_learns_of_a_key(
    database: Database, person: Person, api: MadeApi
) -> None:
    key = await make_key(
        database,
        person.tenant_id,
        [api.id],
        limits={"minute": 3},
        expires_at="2030-01-01T00:00:00+00:00",
    )
    assert await rpc(database, "gateway_key", key_hash=key.key_hash) == {
        "key_id": key.id,
        "root_id": key.id,
        "generation": 2,
        "tenant_id": person.tenant_id,
        "tenant_status": "active",
        "plan": "free",
        "plan_limits": {"hour": 100},
        "tenant_limits": {},
        "limits": {"minute": 3},
        "scopes": {},
        "allowed_addresses": [],
        "api_ids": [api.id],
        "expires_at": "2030-01-01T00:00:00+00:00",
        "ends_at": None,
        "revoked_at": None,
    }


async def test_unknown_key(database: Database) -> None:
    assert await rpc(database, "gateway_key", key_hash="unknown") is None


async def test_a_key_needs_an_api(database: Database, person: Person) -> None:
    assert await refused(make_key(database, person.tenant_id, [])) == (422, "key_without_api")


async def test_a_key_cannot_open_another_tenants_private_api(
    database: Database, dsn: str, api: MadeApi
) -> None:
    stranger = await make_user(dsn)
    call = make_key(database, stranger.tenant_id, [api.id])
    assert await refused(call) == (404, "api_not_found")
    assert len(await database.select("consumer_api_keys", identity=SERVICE)) == 1


async def test_the_answer_never_holds_the_hash(
    database: Database, person: Person, api: MadeApi
) -> None:
    p = {
        "id": str(uuid4()),
        "tenant_id": person.tenant_id,
        "name": "k",
        "key_hash": "h",
        "display": "d",
        "api_ids": [api.id],
    }
    made = [await rpc(database, "create_key", p=p) for _ in range(2)]  # the second is a repeat
    revoked = await rpc(database, "revoke_key", key_id=p["id"])
    assert all("key_hash" not in answer for answer in (*made, revoked))
    assert made[0] == made[1]


async def test_revoking_twice_keeps_the_first_time(database: Database, api: MadeApi) -> None:
    first = await rpc(database, "revoke_key", key_id=api.key.id)
    second = await rpc(database, "revoke_key", key_id=api.key.id)
    assert first["revoked_at"] == second["revoked_at"] is not None


async def test_unknown_key_cannot_be_revoked(database: Database) -> None:
    call = rpc(database, "revoke_key", key_id=str(uuid4()))
    assert await refused(call) == (404, "key_not_found")


# --- tenants and people -------------------------------------------------------------------


async def test_update_tenant(database: Database, person: Person, admin: Person) -> None:
    p = {"plan": "pro", "limits": {"hour": 500, "day": None}}
    changed = await rpc(database, "update_tenant", tenant_id=person.tenant_id, p=p, actor=admin.id)
    assert (changed["plan"], changed["limits"]) == ("pro", {"hour": 500, "day": None})
    where = [Filter("action", "eq", "tenant.update")]
    entries = await database.select("audit_log", identity=SERVICE, where=where)
    assert [entry["actor_id"] for entry in entries] == [admin.id]


@pytest.mark.parametrize(
    ("p", "expected"),
    [
        ({"plan": "platinum"}, (422, "plan_not_found")),
        ({"status": "gone"}, (422, "invalid_status")),
        ({"limits": {"hour": 0}}, (422, "invalid_limits")),
    ],
)
async def test_unusable_tenant_change(
    database: Database, person: Person, p: dict[str, Any], expected: tuple[int, str]
) -> None:
    call = rpc(database, "update_tenant", tenant_id=person.tenant_id, p=p)
    assert await refused(call) == expected


async def test_unknown_tenant(database: Database) -> None:
    call = rpc(database, "update_tenant", tenant_id=str(uuid4()), p={})
    assert await refused(call) == (404, "tenant_not_found")


async def test_set_admin(database: Database, person: Person) -> None:
    changed = await rpc(database, "set_admin", user_id=person.id, is_admin=True)
    assert changed["is_admin"] is True
    call = rpc(database, "set_admin", user_id=str(uuid4()), is_admin=True)
    assert await refused(call) == (404, "user_not_found")


async def test_signing_up_makes_profile_tenant_and_membership(database: Database, dsn: str) -> None:
    person = await make_user(dsn, "ada@example.com")
    tenants = await database.select("tenants", identity=person.identity)
    assert [(t["name"], t["kind"], t["plan"]) for t in tenants] == [("ada", "personal", "free")]
    members = await database.select("tenant_members", identity=person.identity)
    assert [member["role"] for member in members] == ["owner"]


async def test_a_user_who_leaves_takes_the_personal_tenant_and_leaves_the_team(
    database: Database, dsn: str, person: Person, api: MadeApi
) -> None:
    heir, viewer = await make_user(dsn), await make_user(dsn)
    team = await make_tenant(database, person)
    lonely = await make_tenant(database, person, name="lonely")
    rows = [
        {"tenant_id": team, "user_id": viewer.id, "role": "viewer"},
        {"tenant_id": team, "user_id": heir.id, "role": "admin"},
    ]
    await database.insert("tenant_members", rows, identity=SERVICE)
    team_api = await make_api(database, team, created_by=person.id)
    connection = await asyncpg.connect(dsn.replace("//postgres@", "//supabase_auth_admin@"))
    await connection.execute("delete from auth.users where id = $1", person.id)
    await connection.close()
    left = {tenant["id"]: tenant for tenant in await database.select("tenants", identity=SERVICE)}
    assert person.tenant_id not in left
    assert lonely not in left
    assert left[team]["owner_id"] == heir.id
    assert await rpc(database, "gateway_route", ref=api.id) is None
    assert await rpc(database, "gateway_route", ref=team_api.id) is not None


async def test_a_changed_address_reaches_the_profile(
    database: Database, dsn: str, person: Person
) -> None:
    connection = await asyncpg.connect(dsn.replace("//postgres@", "//supabase_auth_admin@"))
    await connection.execute("update auth.users set email = 'new@example.com'")
    await connection.close()
    profiles = await database.select("user_profiles", identity=person.identity)
    assert profiles[0]["email"] == "new@example.com"


# --- announcements ------------------------------------------------------------------------


async def test_every_cached_kind_is_announced(
    database: Database, person: Person, owner: asyncpg.Connection
) -> None:
    heard: list[str] = []
    await owner.add_listener("sandgate_changes", lambda *args: heard.append(str(args[3])))
    api = await make_api(database, person.tenant_id)
    await rpc(database, "update_tenant", tenant_id=person.tenant_id, p={"plan": "pro"})
    where = [Filter("name", "eq", "pro")]
    await database.update("plans", {"limits": {"hour": 7}}, where=where, identity=SERVICE)
    await rpc(database, "delete_api", api_id=api.id)
    await owner.execute("select 1")  # what was announced before this answer has arrived
    changes = {(change["kind"], change["id"]) for change in map(json.loads, heard)}
    assert changes == {
        ("api", api.id),
        ("key", api.key.id),
        ("tenant", person.tenant_id),
        ("plan", "pro"),
    }
