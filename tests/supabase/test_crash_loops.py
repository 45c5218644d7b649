"""A fresh version that crashes is taken back once, an old one never; APIs that keep sandboxes."""

import asyncio
from typing import Any

import asyncpg
import pytest

from gateway.operations.crash_loops import CrashLoops
from gateway.store.database import SERVICE, Database, DatabaseError, Filter
from gateway.store.routes import Instances, RouteStore
from sandbox.types import SandboxSpec
from tests.support.factories import MadeApi, Person, add_version, make_api, make_user


@pytest.fixture
async def person(dsn: str) -> Person:
    return await make_user(dsn)


@pytest.fixture
async def api(database: Database, person: Person) -> MadeApi:
    return await make_api(database, person.tenant_id, created_by=person.id)


async def serving(database: Database, api: MadeApi) -> dict[int, int]:
    """Weight by version number."""
    route = await database.rpc("gateway_route", {"p_ref": api.id}, identity=SERVICE)
    return {version["n"]: version["weight"] for version in route["versions"]}


async def deploy(database: Database, api: MadeApi, n: int, weight: int = 100) -> None:
    arguments = {"p_api_id": api.id, "p_n": n, "p_weight": weight}
    await database.rpc("deploy_version", arguments, identity=SERVICE)


async def revert(database: Database, api: MadeApi, version_id: str) -> bool:
    arguments = {"p_api_id": api.id, "p_version_id": version_id, "p_reason": "memory: too much"}
    answer = await database.rpc("revert_crashed_version", arguments, identity=SERVICE)
    return bool(answer["reverted"])


async def version_id(database: Database, api: MadeApi, n: int) -> str:
    arguments = {"p_api_id": api.id, "p_n": n}
    found = await database.rpc("gateway_version", arguments, identity=SERVICE)
    return str(found["version_id"])


async def grow_old(owner: asyncpg.Connection, api: MadeApi) -> None:
    """All that happened so far was two hours earlier."""
    await owner.execute(
        "update public.deployments set created_at = created_at - interval '2 hours'"
        " where api_id = $1::uuid",
        api.id,
    )


async def reverted(database: Database, api: MadeApi) -> list[Any]:
    """What the audit says of it."""
    where = [Filter("target_id", "eq", api.id), Filter("action", "eq", "deployment.reverted")]
    return await database.select("audit_log", identity=SERVICE, where=where)


async def test_a_fresh_version_gives_way_to_the_one_before(
    database: Database, owner: asyncpg.Connection, api: MadeApi
) -> None:
    await grow_old(owner, api)
    await add_version(database, api)
    crashed = await version_id(database, api, 2)
    assert await revert(database, api, crashed)
    assert await serving(database, api) == {1: 100}
    (entry,) = await reverted(database, api)
    assert entry["actor"] == "gateway"
    assert entry["detail"] == {
        "version_id": api.version_id,
        "crashed_version_id": crashed,
        "reason": "memory: too much",
    }


async def test_a_trial_gives_its_share_back(
    database: Database, owner: asyncpg.Connection, api: MadeApi
) -> None:
    await grow_old(owner, api)
    await add_version(database, api, deploy=False)
    await deploy(database, api, 2, 20)
    assert await revert(database, api, await version_id(database, api, 2))
    assert await serving(database, api) == {1: 100}


async def test_an_old_version_stays(
    database: Database, owner: asyncpg.Connection, api: MadeApi
) -> None:
    await add_version(database, api)
    await grow_old(owner, api)
    assert not await revert(database, api, await version_id(database, api, 2))
    assert await serving(database, api) == {2: 100}
    assert await reverted(database, api) == []


async def test_an_old_version_stays_also_beside_a_fresh_trial(
    database: Database, owner: asyncpg.Connection, api: MadeApi
) -> None:
    """Its share was written anew; it has been answering for long all the same."""
    await add_version(database, api)
    await grow_old(owner, api)
    await add_version(database, api, deploy=False)
    await deploy(database, api, 3, 20)
    assert not await revert(database, api, await version_id(database, api, 2))
    assert await serving(database, api) == {2: 80, 3: 20}


async def test_an_old_version_that_came_back_is_fresh_again(
    database: Database, owner: asyncpg.Connection, api: MadeApi
) -> None:
    """What it needs may have changed while another one answered."""
    await add_version(database, api)
    await grow_old(owner, api)
    await deploy(database, api, 1)
    assert await revert(database, api, api.version_id)
    assert await serving(database, api) == {2: 100}


async def test_a_fresh_version_beside_its_own_trial_goes_back_behind_both(
    database: Database, owner: asyncpg.Connection, api: MadeApi
) -> None:
    await grow_old(owner, api)
    await add_version(database, api)
    await add_version(database, api, deploy=False)
    await deploy(database, api, 3, 20)
    assert await revert(database, api, await version_id(database, api, 2))
    assert await serving(database, api) == {1: 100}


async def test_the_first_version_has_nothing_to_give_way_to(
    database: Database, api: MadeApi
) -> None:
    assert not await revert(database, api, api.version_id)
    assert await serving(database, api) == {1: 100}


async def test_a_reverted_api_does_not_fall_through_its_history(
    database: Database, api: MadeApi
) -> None:
    """When the whole machine is in trouble, the version that was put back crashes too."""
    await add_version(database, api)
    await add_version(database, api)
    assert await revert(database, api, await version_id(database, api, 3))
    assert not await revert(database, api, await version_id(database, api, 2))
    assert await serving(database, api) == {2: 100}


async def test_several_gateways_revert_once(database: Database, api: MadeApi) -> None:
    """Each of them hears that another version serves now."""
    await add_version(database, api)
    crashed = await version_id(database, api, 2)
    answers = await asyncio.gather(*(revert(database, api, crashed) for _ in range(8)))
    assert answers == [True] * 8
    assert await serving(database, api) == {1: 100}
    assert len(await reverted(database, api)) == 1


async def test_after_a_revert_a_rollback_goes_further_back(
    database: Database, api: MadeApi
) -> None:
    """It never returns to what was just left."""
    await add_version(database, api)
    await add_version(database, api)
    await revert(database, api, await version_id(database, api, 3))
    answer = await database.rpc("rollback_api", {"p_api_id": api.id}, identity=SERVICE)
    assert answer["version"] == 1


async def test_a_version_that_does_not_answer_now_is_no_ones_business(
    database: Database, api: MadeApi
) -> None:
    await add_version(database, api, deploy=False)
    assert await revert(database, api, await version_id(database, api, 2))
    assert await serving(database, api) == {1: 100}


async def test_an_unknown_api_is_refused(database: Database, api: MadeApi) -> None:
    arguments = {"p_api_id": api.version_id, "p_version_id": api.version_id}
    with pytest.raises(DatabaseError) as caught:
        await database.rpc("revert_crashed_version", arguments, identity=SERVICE)
    assert caught.value.code == "api_not_found"


class Board:
    """Notes what is announced."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []

    def publish(self, kind: str, identifier: str, /) -> None:
        self.seen.append((kind, identifier))


async def test_the_gateway_announces_a_revert_and_survives_a_refusal(
    database: Database, api: MadeApi
) -> None:
    """Also when user code wrote the reason."""
    board = Board()
    revert_crashed = CrashLoops(database, board)
    await add_version(database, api)
    crashed = SandboxSpec(api.id, await version_id(database, api, 2))
    assert await revert_crashed(crashed, "exception: \0 \ud800" + "x" * 5000)
    assert board.seen == [("api", api.id)]
    assert not await revert_crashed(SandboxSpec(api.id, api.version_id), "again")
    assert not await revert_crashed(SandboxSpec(api.version_id, api.version_id), "unknown")
    assert not await revert_crashed(SandboxSpec("no uuid", "none"), "nonsense")
    assert board.seen == [("api", api.id)]


# --- kept ---------------------------------------------------------------------------------


async def set_instances(owner: asyncpg.Connection, api: MadeApi, minimum: int) -> None:
    await owner.execute(
        "update public.apis set instances = jsonb_set(instances, '{min}', to_jsonb($2::int))"
        " where id = $1::uuid",
        api.id,
        minimum,
    )


async def test_only_active_apis_that_ask_for_it_are_kept(
    database: Database, owner: asyncpg.Connection, person: Person, api: MadeApi
) -> None:
    store = RouteStore(database)
    assert await store.kept() == []
    await set_instances(owner, api, 1)
    (route,) = await store.kept()
    assert (route.api_id, route.instances) == (api.id, Instances(1, 1, 100))
    assert [version.version_id for version in route.versions] == [api.version_id]
    await owner.execute("update public.apis set status = 'paused' where id = $1::uuid", api.id)
    assert await store.kept() == []
    await owner.execute("update public.apis set status = 'active' where id = $1::uuid", api.id)
    arguments = {"p_tenant_id": person.tenant_id, "p": {"status": "suspended"}}
    await database.rpc("update_tenant", arguments, identity=SERVICE)
    assert await store.kept() == []
