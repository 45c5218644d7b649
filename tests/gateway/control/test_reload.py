"""Routes of the hot reload."""

import asyncio
from uuid import uuid4

from gateway.store.database import SERVICE
from sandbox.types import ManagerUnavailableError
from tests.support.control import ADMIN_KEY, World
from tests.support.factories import MadeApi, make_api
from tests.support.problems import assert_problem
from tests.support.sandboxes import BROKEN, GOOD
from tests.support.waiting import until


async def running(world: World, code: str = GOOD) -> MadeApi:
    """An API that has a sandbox, although its code may not start again."""
    person = await world.person()
    api = await make_api(world.database, person.tenant_id, code=code)
    async with world.client(person) as client:
        deployed = await client.post(f"/api/apis/{api.id}/versions", json={"code": GOOD})
    assert deployed.status_code == 201
    if code != GOOD:
        await world.database.rpc(
            "deploy_version",
            {"p_api_id": api.id, "p_n": 1, "p_weight": 100, "p_actor": None},
            identity=SERVICE,
        )
    world.changes.published.clear()
    return api


async def generation(world: World, api: MadeApi) -> int:
    route = await world.database.rpc("gateway_route", {"p_ref": api.id}, identity=SERVICE)
    return int(route["generation"])


async def test_200_fresh_sandbox_is_up_before_the_change_is_announced(world: World) -> None:
    api = await running(world)
    async with world.admin() as client:
        answer = await client.post(f"/admin/reload/{api.id}")
    assert answer.json() == {
        "reloaded": [{"api_id": api.id, "generation": 2}],
        "failed": [],
        "generation": 2,
    }
    assert {spec.generation for spec in world.sandboxes.of(api.id)} == {1, 2}
    assert await generation(world, api) == 2
    assert world.changes.published == [("api", api.id)]


async def test_200_admin_key_as_bearer_and_admin_session(world: World) -> None:
    api, admin = await running(world), await world.person(is_admin=True)
    async with world.client() as client:
        headers = {"Authorization": f"Bearer {ADMIN_KEY}"}
        answer = await client.post(f"/admin/reload/{api.slug}", headers=headers)
        assert answer.status_code == 200
    async with world.client(admin) as client:
        assert (await client.post(f"/admin/reload/{api.id}")).json()["generation"] == 3


async def test_422_code_that_does_not_start_again_changes_nothing(world: World) -> None:
    api = await running(world, BROKEN)
    before = dict(world.sandboxes.running)
    async with world.admin() as client:
        answer = await client.post(f"/admin/reload/{api.id}")
    assert_problem(answer, 422, "api_start_failed")
    assert await generation(world, api) == 1
    assert world.sandboxes.running == before
    assert world.changes.published == []


async def test_200_reload_of_all_tells_which_failed(world: World) -> None:
    good, broken = await running(world), await running(world, BROKEN)
    cold = await make_api(world.database, good.tenant_id)
    async with world.admin() as client:
        report = (await client.post("/admin/reload")).json()
    assert report["reloaded"] == [{"api_id": good.id, "generation": 2}]
    (failed,) = report["failed"]
    assert failed["api_id"] == broken.id
    assert failed["reason"].startswith("api_start_failed: app.py")
    assert await generation(world, cold) == 1
    assert world.changes.published[-1] == ("all", "")


async def test_two_reloads_at_once_are_one(world: World) -> None:
    api = await running(world)
    world.sandboxes.gate.clear()
    world.sandboxes.acquired.clear()
    async with world.admin() as client:
        both = [asyncio.create_task(client.post(f"/admin/reload/{api.id}")) for _ in range(2)]
        await until(lambda: world.services.turns.waiting(api.id) == 1)
        world.sandboxes.gate.set()
        answers = [(await task).json() for task in both]
    assert [answer["generation"] for answer in answers] == [2, 2]
    assert await generation(world, api) == 2
    assert {spec.generation for spec in world.sandboxes.of(api.id)} == {1, 2}
    assert len(world.sandboxes.acquired) == 1


async def test_200_paused_api_gets_a_generation_and_no_sandbox(world: World) -> None:
    api = await running(world)
    async with world.admin() as client:
        await client.patch(f"/api/apis/{api.id}", json={"status": "paused"})
        answer = await client.post(f"/admin/reload/{api.id}")
    assert (answer.status_code, answer.json()["generation"]) == (200, 2)
    assert world.sandboxes.of(api.id) == []


async def test_refusals(world: World) -> None:
    """401 nobody, 401 wrong key, 403 a person who owns it, 404 unknown, 503 manager away."""
    api, person = await running(world), await world.person()
    async with world.client() as client:
        for path in ("/admin/reload", f"/admin/reload/{api.id}"):
            assert_problem(await client.post(path), 401, "unauthorized")
            wrong = await client.post(path, headers={"X-API-Key": "x" * 26})
            assert_problem(wrong, 401, "invalid_admin_key")
    async with world.client(person) as client:
        assert_problem(await client.post("/admin/reload"), 403, "forbidden")
        assert_problem(await client.post(f"/admin/reload/{api.id}"), 403, "forbidden")
    async with world.admin() as client:
        assert_problem(await client.post(f"/admin/reload/{uuid4()}"), 404, "api_not_found")
        world.sandboxes.fails = ManagerUnavailableError("gone")
        assert_problem(await client.post("/admin/reload"), 503, "sandboxes_unavailable")
        answer = await client.post(f"/admin/reload/{api.id}")
        assert_problem(answer, 503, "sandboxes_unavailable")
