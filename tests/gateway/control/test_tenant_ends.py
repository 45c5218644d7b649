"""Handing a tenant over, deleting one, and what a personal tenant does not do."""

import time
from collections.abc import Iterator
from uuid import uuid4

import pytest

from gateway.store.database import SERVICE, Filter
from gateway.store.embedded import EmbeddedPostgres
from tests.support.control import World
from tests.support.factories import make_api, make_key, usage_call
from tests.support.one_database import one_database
from tests.support.problems import assert_problem
from tests.support.teams import Team, make_team


@pytest.fixture(scope="module")
def database_name(postgres: EmbeddedPostgres) -> Iterator[str]:
    with one_database(postgres) as name:
        yield name


@pytest.fixture
async def team(world: World) -> Team:
    return await make_team(world)


async def test_who_hands_over_stays_as_an_admin(team: Team) -> None:
    heir = {"user_id": team.people["developer"].id}
    for who, status in (("admin", 403), ("developer", 403), ("stranger", 404), ("owner", 200)):
        answer = await team.ask(who, "POST", "/transfer", heir)
        assert answer.status_code == status, answer.text
    assert answer.json()["owner_id"] == team.people["developer"].id
    assert answer.json()["role"] == "admin"
    assert await team.role_of("developer") == "owner"
    assert await team.role_of("owner") == "admin"
    assert_problem(await team.ask("owner", "DELETE"), 403, "forbidden")


async def test_404_to_nobody_who_is_no_member(team: Team) -> None:
    for user_id in (team.people["stranger"].id, str(uuid4())):
        answer = await team.ask("owner", "POST", "/transfer", {"user_id": user_id})
        assert_problem(answer, 404, "member_not_found")
    assert await team.role_of("owner") == "owner"


async def test_an_administrator_hands_over_what_its_owner_left_behind(team: Team) -> None:
    answer = await team.ask("key", "POST", "/transfer", {"user_id": team.people["viewer"].id})
    assert answer.json()["owner_id"] == team.people["viewer"].id
    assert await team.role_of("owner") == "admin"


async def test_deleting_takes_apis_and_keys_and_leaves_the_books(team: Team) -> None:
    world, stranger = team.world, team.people["stranger"]
    api = await make_api(world.database, team.id)
    await world.database.update(
        "apis", {"is_published": True}, where=[Filter("id", "eq", api.id)], identity=SERVICE
    )
    theirs = await make_key(world.database, stranger.tenant_id, [api.id])
    call = usage_call(api, time.time(), price_nano_usd=7, caller_tenant_id=stranger.tenant_id)
    await world.database.rpc("record_usage", {"p_calls": [call]}, identity=SERVICE)
    for who in ("admin", "developer", "viewer"):
        assert_problem(await team.ask(who, "DELETE"), 403, "forbidden")

    assert (await team.ask("owner", "DELETE")).status_code == 204

    assert_problem(await team.ask("owner", "GET"), 404, "tenant_not_found")
    for table, column, value, left in (
        ("apis", "id", api.id, 0),
        ("api_versions", "api_id", api.id, 0),
        ("consumer_api_keys", "id", api.key.id, 0),
        ("tenant_members", "tenant_id", team.id, 0),
        ("api_usage", "tenant_id", team.id, 1),
        ("ledger", "account", team.id, 1),
        ("ledger", "account", stranger.tenant_id, 1),
    ):
        rows = await world.database.select(
            table, identity=SERVICE, where=[Filter(column, "eq", value)]
        )
        assert len(rows) == left, table
    key = await world.database.rpc("gateway_key", {"p_key_hash": theirs.key_hash}, identity=SERVICE)
    assert key["revoked_at"] is not None
    assert {("tenant", team.id), ("api", api.id)} <= set(world.changes.published)
    assert world.sandboxes.stopped == [api.id]


async def test_deleting_is_audited_with_what_went(team: Team) -> None:
    api = await make_api(team.world.database, team.id)
    await team.ask("owner", "DELETE")
    rows = await team.world.database.select(
        "audit_log", identity=SERVICE, where=[Filter("target_id", "eq", team.id)]
    )
    assert rows[0]["detail"] == {"name": "team", "api_ids": [api.id], "keys": 1}
    assert rows[0]["actor_id"] == team.people["owner"].id


async def test_a_personal_tenant_has_one_member_who_stays(world: World) -> None:
    person, other = await world.person(), await world.person()
    own = f"/api/tenants/{person.tenant_id}"
    attempts = [
        ("DELETE", own, None),
        ("POST", f"{own}/leave", None),
        ("DELETE", f"{own}/members/{person.id}", None),
        ("PATCH", f"{own}/members/{person.id}", {"role": "viewer"}),
        ("POST", f"{own}/transfer", {"user_id": other.id}),
    ]
    async with world.client(person) as client:
        for method, path, body in attempts:
            answer = await client.request(method, path, json=body)
            assert_problem(answer, 409, "personal_tenant")
        renamed = await client.patch(own, json={"name": "mine"})
    async with world.admin() as admin:
        added = await admin.post(f"{own}/members", json={"user_id": other.id, "role": "viewer"})
    assert (renamed.status_code, renamed.json()["name"]) == (200, "mine")
    assert_problem(added, 409, "personal_tenant")
