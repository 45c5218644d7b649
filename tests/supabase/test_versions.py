"""APIs, versions and what is deployed."""

import asyncio
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from gateway.store.database import SERVICE, Database, DatabaseError, Filter
from tests.support.factories import (
    MadeApi,
    Person,
    add_version,
    make_api,
    make_tenant,
    make_user,
)


@pytest.fixture
async def person(dsn: str) -> Person:
    return await make_user(dsn)


@pytest.fixture
async def api(database: Database, person: Person) -> MadeApi:
    return await make_api(database, person.tenant_id, created_by=person.id)


async def serving(database: Database, api: MadeApi) -> dict[int, int]:
    """Weight by version number, as the gateway sees it."""
    route = await database.rpc("gateway_route", {"p_ref": api.id}, identity=SERVICE)
    return {version["n"]: version["weight"] for version in route["versions"]}


async def deploy(database: Database, api: MadeApi, n: int, weight: int = 100) -> Any:
    arguments = {"p_api_id": api.id, "p_n": n, "p_weight": weight}
    return await database.rpc("deploy_version", arguments, identity=SERVICE)


async def rollback(database: Database, api: MadeApi) -> int:
    answer = await database.rpc("rollback_api", {"p_api_id": api.id}, identity=SERVICE)
    return int(answer["version"])


async def refused(call: Any) -> tuple[int, str]:
    with pytest.raises(DatabaseError) as caught:
        await call
    return caught.value.status, caught.value.code


# --- creating -----------------------------------------------------------------------------


async def test_creating_makes_api_version_deployment_key_and_audit_entry(
    database: Database, person: Person, api: MadeApi
) -> None:
    route = await database.rpc("gateway_route", {"p_ref": api.slug}, identity=SERVICE)
    assert route["status"] == "active"
    assert [(v["n"], v["weight"]) for v in route["versions"]] == [(1, 100)]
    key = await database.rpc("gateway_key", {"p_key_hash": api.key.key_hash}, identity=SERVICE)
    assert key["api_ids"] == [api.id]
    where = [Filter("target_id", "eq", api.id)]
    entries = await database.select("audit_log", identity=SERVICE, where=where)
    assert [(e["action"], e["actor_id"], e["actor"]) for e in entries] == [
        ("api.create", person.id, person.email)
    ]


async def test_same_name_in_one_tenant_clashes(database: Database, person: Person) -> None:
    await make_api(database, person.tenant_id, name="weather")
    again = make_api(database, person.tenant_id, name="weather")
    assert await refused(again) == (409, "name_taken")


async def test_same_name_in_another_tenant_is_fine(database: Database, person: Person) -> None:
    await make_api(database, person.tenant_id, name="weather")
    team = await make_tenant(database, person)
    assert (await make_api(database, team, name="weather")).tenant_id == team


async def test_same_slug_clashes_everywhere(
    database: Database, person: Person, api: MadeApi
) -> None:
    team = await make_tenant(database, person)
    assert await refused(make_api(database, team, slug=api.slug)) == (409, "slug_taken")


async def test_a_clash_leaves_nothing(database: Database, person: Person) -> None:
    await make_api(database, person.tenant_id, name="weather")
    await refused(make_api(database, person.tenant_id, name="weather"))
    assert len(await database.select("consumer_api_keys", identity=SERVICE)) == 1
    assert len(await database.select("api_versions", identity=SERVICE)) == 1


async def test_the_same_request_twice_makes_one_api(database: Database, person: Person) -> None:
    ids = {"id": str(uuid4()), "version_id": str(uuid4()), "slug": "twice"}
    first = await make_api(database, person.tenant_id, name="twice", **ids)
    second = await make_api(database, person.tenant_id, name="twice", **ids)
    assert first.id == second.id


async def test_unknown_tenant(database: Database) -> None:
    assert await refused(make_api(database, str(uuid4()))) == (404, "tenant_not_found")


async def test_suspended_tenant_creates_nothing(database: Database, person: Person) -> None:
    arguments = {"p_tenant_id": person.tenant_id, "p": {"status": "suspended"}}
    await database.rpc("update_tenant", arguments, identity=SERVICE)
    assert await refused(make_api(database, person.tenant_id)) == (403, "tenant_suspended")


@pytest.mark.parametrize(
    "slug",
    ["", "-a", "a-", "A", "a b", "a/b", "ä", "x" * 64, "0ce1d136-3f53-44e1-a1a9-47f2ebd8c906"],
)
async def test_unusable_slug(database: Database, person: Person, slug: str) -> None:
    with pytest.raises(DatabaseError) as caught:
        await make_api(database, person.tenant_id, slug=slug)
    assert caught.value.sqlstate == "23514"


@pytest.mark.parametrize(
    "limits", [{"hour": 0}, {"hour": -1}, {"hour": 1.5}, {"week": 1}, {"hour": "9"}, [], 3]
)
async def test_unusable_limits_are_never_stored(
    database: Database, person: Person, limits: Any
) -> None:
    with pytest.raises(DatabaseError) as caught:
        await make_api(database, person.tenant_id, limits=limits)
    assert caught.value.sqlstate == "23514"


# --- versions -----------------------------------------------------------------------------


async def test_versions_are_numbered_without_gaps_under_concurrency(
    database: Database, api: MadeApi
) -> None:
    made = await asyncio.gather(*(add_version(database, api) for _ in range(20)))
    assert sorted(version["n"] for version in made) == list(range(2, 22))
    assert len(await serving(database, api)) == 1


async def test_a_version_can_be_added_without_deploying(database: Database, api: MadeApi) -> None:
    await add_version(database, api, deploy=False)
    assert await serving(database, api) == {1: 100}


async def test_the_same_version_id_twice_is_one_version(database: Database, api: MadeApi) -> None:
    arguments = {"api_id": api.id, "version_id": str(uuid4()), "code": "x", "digest": "d"}
    answers = [
        await database.rpc("add_version", {"p": arguments}, identity=SERVICE) for _ in range(2)
    ]
    assert [answer["n"] for answer in answers] == [2, 2]


async def test_a_version_never_changes(owner: asyncpg.Connection, api: MadeApi) -> None:
    for change in ("code = 'x'", "digest = 'x'", "n = 9"):
        with pytest.raises(asyncpg.PostgresError, match="version_is_immutable"):
            await owner.execute(f"update public.api_versions set {change}")


async def test_version_of_unknown_api(database: Database, api: MadeApi) -> None:
    arguments = {"api_id": str(uuid4()), "version_id": str(uuid4()), "code": "x", "digest": "d"}
    call = database.rpc("add_version", {"p": arguments}, identity=SERVICE)
    assert await refused(call) == (404, "api_not_found")


async def test_pinned_version(database: Database, api: MadeApi) -> None:
    for n, expected in ((1, api.version_id), (2, None)):
        arguments = {"p_api_id": api.id, "p_n": n}
        found = await database.rpc("gateway_version", arguments, identity=SERVICE)
        assert (found or {}).get("version_id") == expected


# --- deploying ----------------------------------------------------------------------------


async def test_a_share_leaves_the_rest_to_the_main_version(
    database: Database, api: MadeApi
) -> None:
    await add_version(database, api, deploy=False)
    answer = await deploy(database, api, 2, 30)
    assert (answer["version"], answer["weight"], answer["status"]) == (2, 30, "active")
    assert await serving(database, api) == {1: 70, 2: 30}


async def test_at_most_two_versions_answer(database: Database, api: MadeApi) -> None:
    for n in (2, 3):
        await add_version(database, api, deploy=False)
        await deploy(database, api, n, 10)
    assert await serving(database, api) == {1: 90, 3: 10}


async def test_a_share_can_grow_and_become_everything(database: Database, api: MadeApi) -> None:
    await add_version(database, api, deploy=False)
    for weight in (10, 60, 90):
        await deploy(database, api, 2, weight)
        assert await serving(database, api) == {1: 100 - weight, 2: weight}
    await deploy(database, api, 2)
    assert await serving(database, api) == {2: 100}


@pytest.mark.parametrize("weight", [0, -1, 101])
async def test_impossible_weight(database: Database, api: MadeApi, weight: int) -> None:
    assert await refused(deploy(database, api, 1, weight)) == (422, "invalid_weight")


async def test_a_share_needs_another_version(database: Database, api: MadeApi) -> None:
    assert await refused(deploy(database, api, 1, 50)) == (409, "nothing_to_share_with")


async def test_unknown_version(database: Database, api: MadeApi) -> None:
    assert await refused(deploy(database, api, 7)) == (404, "version_not_found")


async def test_parallel_deployments_end_in_one_consistent_state(
    database: Database, api: MadeApi
) -> None:
    await add_version(database, api, deploy=False)
    weights = [100, 20, 100, 40, 60, 100]
    await asyncio.gather(
        *(deploy(database, api, 2, weight) for weight in weights), return_exceptions=True
    )
    assert sum((await serving(database, api)).values()) == 100


# --- rolling back -------------------------------------------------------------------------


async def test_rollback_goes_back_step_by_step(database: Database, api: MadeApi) -> None:
    await add_version(database, api)
    await add_version(database, api)
    assert [await rollback(database, api) for _ in range(2)] == [2, 1]
    assert await refused(rollback(database, api)) == (409, "nothing_to_roll_back")
    assert await serving(database, api) == {1: 100}


async def test_rollback_ends_a_trial(database: Database, api: MadeApi) -> None:
    await add_version(database, api, deploy=False)
    await deploy(database, api, 2, 30)
    assert await rollback(database, api) == 1
    assert await serving(database, api) == {1: 100}


async def test_rollback_of_a_trial_that_became_everything(database: Database, api: MadeApi) -> None:
    await add_version(database, api, deploy=False)
    await deploy(database, api, 2, 30)
    await deploy(database, api, 2)
    assert await rollback(database, api) == 1


async def test_deploying_the_same_version_again_is_no_step(
    database: Database, api: MadeApi
) -> None:
    await add_version(database, api)
    await deploy(database, api, 2)
    assert await rollback(database, api) == 1


async def test_after_a_rollback_and_a_deployment_back_is_where_it_was(
    database: Database, api: MadeApi
) -> None:
    await add_version(database, api)
    await rollback(database, api)
    await deploy(database, api, 2)
    assert await rollback(database, api) == 1


async def test_nothing_to_roll_back_on_a_new_api(database: Database, api: MadeApi) -> None:
    assert await refused(rollback(database, api)) == (409, "nothing_to_roll_back")
