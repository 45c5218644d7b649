"""Dependencies that a file states: locked before it starts, kept with the version."""

from typing import Any

import pytest

from gateway.store.database import SERVICE
from sandbox.types import DependencyError, Lock
from tests.support.control import World
from tests.support.factories import Person
from tests.support.problems import assert_problem
from tests.support.sandboxes import BROKEN, GOOD

BLOCK = '# /// script\n# dependencies = ["humanize>=4"]\n# ///\n'
CODE = BLOCK + GOOD
LOCK = Lock(
    "ab" * 32,
    f"humanize==4.9.0 --hash=sha256:{'0' * 64}\nzope==1.0 --hash=sha256:{'1' * 64}\n",
    ("humanize==4.9.0", "zope==1.0"),
)
PACKAGES = ["humanize==4.9.0", "zope==1.0"]


@pytest.fixture
def world(world: World) -> World:
    """The manager knows what these dependencies come to."""
    world.sandboxes.locks[("humanize>=4",)] = LOCK
    return world


async def post(world: World, person: Person, path: str, body: object) -> Any:
    async with world.client(person) as client:
        answer = await client.post(path, json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def test_201_a_new_api_runs_on_its_layer_and_names_its_packages(world: World) -> None:
    person = await world.person()
    made = await post(world, person, "/api/apis", {"name": "x", "code": CODE})
    assert made["packages"] == PACKAGES
    (spec,) = world.sandboxes.of(made["id"])
    route = await world.database.rpc("gateway_route", {"p_ref": made["id"]}, identity=SERVICE)
    assert spec.layer == route["versions"][0]["layer"] == LOCK.digest
    assert world.sandboxes.bundles[spec].lock == LOCK.text
    async with world.client(person) as client:
        version = (await client.get(f"/api/apis/{made['id']}/versions/1")).json()
    assert version["packages"] == PACKAGES


async def test_201_each_version_has_its_own(world: World) -> None:
    person = await world.person()
    made = await post(world, person, "/api/apis", {"name": "x", "code": GOOD})
    assert made["packages"] == []
    path = f"/api/apis/{made['id']}/versions"
    added = await post(world, person, path, {"code": CODE})
    assert added["packages"] == PACKAGES
    layers = {spec.version_id: spec.layer for spec in world.sandboxes.of(made["id"])}
    assert sorted(layers.values()) == ["", LOCK.digest]
    assert layers[added["id"]] == LOCK.digest


async def test_reload_secret_and_deployment_keep_the_layer(world: World) -> None:
    person = await world.person()
    made = await post(world, person, "/api/apis", {"name": "x", "code": CODE})
    path = f"/api/apis/{made['id']}"
    world.sandboxes.running.clear()
    await post(world, person, f"{path}/deployments", {"version": 1})
    async with world.client(person) as client, world.admin() as admin:
        await client.put(f"{path}/secrets/TOKEN", json={"value": "v"})
        await client.patch(path, json={"resources": {"memory_mb": 512}})
        await admin.post(f"/admin/reload/{made['id']}")
    specs = world.sandboxes.of(made["id"])
    assert {spec.generation for spec in specs} == {1, 2, 3, 4}
    assert {spec.layer for spec in specs} == {LOCK.digest}
    assert {world.sandboxes.bundles[spec].lock for spec in specs} == {LOCK.text}


async def test_422_packages_that_cannot_be_had_leave_nothing(world: World) -> None:
    person = await world.person()
    world.sandboxes.locks[("humanize>=4",)] = DependencyError("no such package: humanize")
    async with world.client(person) as client:
        answer = await client.post("/api/apis", json={"name": "x", "code": CODE})
        problem = assert_problem(answer, 422, "dependencies_unavailable")
        assert problem["detail"] == "no such package: humanize"
        assert (await client.get("/api/apis")).json()["items"] == []
    assert world.sandboxes.acquired == []


async def test_422_a_block_that_is_none_is_refused_before_anything_is_asked(world: World) -> None:
    person = await world.person()
    made = await post(world, person, "/api/apis", {"name": "x", "code": GOOD})
    async with world.client(person) as client:
        code = BLOCK.replace("humanize>=4", "humanize @ file:///etc") + GOOD
        answer = await client.post(f"/api/apis/{made['id']}/versions", json={"code": code})
    assert_problem(answer, 422, "dependencies_invalid")


async def test_422_code_that_does_not_start_keeps_no_version(world: World) -> None:
    person = await world.person()
    async with world.client(person) as client:
        answer = await client.post("/api/apis", json={"name": "x", "code": BLOCK + BROKEN})
    assert_problem(answer, 422, "api_start_failed")
    assert world.sandboxes.running == {}
