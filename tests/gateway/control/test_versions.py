"""Routes of versions and deployments."""

import json
from typing import Any

import pytest

from gateway.store.database import SERVICE
from sandbox.types import AppDocument
from tests.support.control import World
from tests.support.factories import Person
from tests.support.problems import assert_problem
from tests.support.sandboxes import BROKEN, GOOD


async def created(world: World, person: Person) -> str:
    async with world.client(person) as client:
        answer = await client.post("/api/apis", json={"name": "x", "code": GOOD})
    return str(answer.json()["id"])


async def post(world: World, person: Person, path: str, body: object, status: int) -> Any:
    async with world.client(person) as client:
        answer = await client.post(path, json=body)
    assert answer.status_code == status, answer.text
    return answer.json()


async def answering(world: World, api_id: str) -> dict[int, int]:
    route = await world.database.rpc("gateway_route", {"p_ref": api_id}, identity=SERVICE)
    return {version["n"]: version["weight"] for version in route["versions"]}


async def test_201_new_version_answers_and_is_announced(world: World) -> None:
    person = await world.person()
    api_id = await created(world, person)
    world.changes.published.clear()
    added = await post(world, person, f"/api/apis/{api_id}/versions", {"code": GOOD + "# 2"}, 201)
    assert (added["version"], added["deployed"]) == (2, True)
    assert await answering(world, api_id) == {2: 100}
    assert world.changes.published == [("api", api_id)]
    assert added["id"] in {spec.version_id for spec in world.sandboxes.of(api_id)}


async def test_201_version_that_is_not_deployed_keeps_no_sandbox(world: World) -> None:
    person = await world.person()
    api_id = await created(world, person)
    body = {"code": GOOD, "deploy": False}
    added = await post(world, person, f"/api/apis/{api_id}/versions", body, 201)
    assert (added["version"], added["deployed"]) == (2, False)
    assert await answering(world, api_id) == {1: 100}
    assert added["id"] not in {spec.version_id for spec in world.sandboxes.of(api_id)}


async def test_422_version_that_does_not_start_changes_nothing(world: World) -> None:
    person = await world.person()
    api_id = await created(world, person)
    async with world.client(person) as client:
        answer = await client.post(f"/api/apis/{api_id}/versions", json={"code": BROKEN})
        listed = (await client.get(f"/api/apis/{api_id}/versions")).json()["items"]
    assert_problem(answer, 422, "api_start_failed")
    assert [version["version"] for version in listed] == [1]
    assert len(world.sandboxes.of(api_id)) == 1


async def test_200_versions_list_without_and_read_with_code(world: World) -> None:
    person = await world.person()
    api_id = await created(world, person)
    await post(world, person, f"/api/apis/{api_id}/versions", {"code": GOOD + "# 2"}, 201)
    async with world.client(person) as client:
        listed = (await client.get(f"/api/apis/{api_id}/versions")).json()["items"]
        second = (await client.get(f"/api/apis/{api_id}/versions/2")).json()
    assert [version["version"] for version in listed] == [2, 1]
    assert "code" not in listed[0]
    assert second["code"] == GOOD + "# 2"


@pytest.mark.parametrize(
    ("n", "status", "code"),
    [
        ("3", 404, "version_not_found"),
        ("0", 422, "invalid_input"),
        ("x", 422, "invalid_input"),
        ("99999999999999999999", 422, "invalid_input"),
    ],
)
async def test_version_that_does_not_exist(world: World, n: str, status: int, code: str) -> None:
    person = await world.person()
    api_id = await created(world, person)
    async with world.client(person) as client:
        assert_problem(await client.get(f"/api/apis/{api_id}/versions/{n}"), status, code)


async def test_201_share_of_calls_for_a_version_and_the_rest_for_the_present(world: World) -> None:
    person = await world.person()
    api_id = await created(world, person)
    await post(world, person, f"/api/apis/{api_id}/versions", {"code": GOOD, "deploy": False}, 201)
    path = f"/api/apis/{api_id}/deployments"
    deployed = await post(world, person, path, {"version": 2, "weight": 20}, 201)
    assert (deployed["version"], deployed["weight"], deployed["status"]) == (2, 20, "active")
    assert await answering(world, api_id) == {1: 80, 2: 20}
    async with world.client(person) as client:
        api = (await client.get(f"/api/apis/{api_id}")).json()
        listed = (await client.get(path)).json()["items"]
    assert api["version"] == 1
    assert {(row["version"], row["status"]) for row in listed} == {
        (1, "replaced"),
        (1, "active"),
        (2, "active"),
    }


async def test_201_deployed_version_is_up_before_it_answers(world: World) -> None:
    person = await world.person()
    api_id = await created(world, person)
    body = {"code": GOOD, "deploy": False}
    added = await post(world, person, f"/api/apis/{api_id}/versions", body, 201)
    await post(world, person, f"/api/apis/{api_id}/deployments", {"version": 2}, 201)
    assert added["id"] in {spec.version_id for spec in world.sandboxes.of(api_id)}
    assert await answering(world, api_id) == {2: 100}


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"version": 9}, 404, "version_not_found"),
        ({"version": 1, "weight": 0}, 422, "invalid_input"),
        ({"version": 1, "weight": 101}, 422, "invalid_input"),
        ({"version": "1"}, 422, "invalid_input"),
        ({"version": 1, "weight": 50}, 409, "nothing_to_share_with"),
    ],
)
async def test_deployment_refused(
    world: World, body: dict[str, object], status: int, code: str
) -> None:
    person = await world.person()
    api_id = await created(world, person)
    async with world.client(person) as client:
        answer = await client.post(f"/api/apis/{api_id}/deployments", json=body)
    assert_problem(answer, status, code)
    assert await answering(world, api_id) == {1: 100}


async def test_200_rollback_returns_to_what_answered_before(world: World) -> None:
    person = await world.person()
    api_id = await created(world, person)
    await post(world, person, f"/api/apis/{api_id}/versions", {"code": GOOD}, 201)
    world.changes.published.clear()
    back = await post(world, person, f"/api/apis/{api_id}/rollback", None, 200)
    assert (back["version"], back["weight"]) == (1, 100)
    assert await answering(world, api_id) == {1: 100}
    assert world.changes.published == [("api", api_id)]


async def test_409_nothing_to_roll_back(world: World) -> None:
    person = await world.person()
    api_id = await created(world, person)
    async with world.client(person) as client:
        answer = await client.post(f"/api/apis/{api_id}/rollback")
    assert_problem(answer, 409, "nothing_to_roll_back")


async def test_200_document_of_a_version_with_the_address_of_just_that_version(
    world: World,
) -> None:
    person = await world.person()
    document = {"openapi": "3.1.0", "info": {"title": "x", "version": "1"}, "paths": {"/a": {}}}
    world.sandboxes.document_said = AppDocument(json.dumps(document))
    api_id = await created(world, person)
    async with world.client(person) as client:
        answer = await client.get(f"/api/apis/{api_id}/versions/1/openapi.json")
        url = f"{str(client.base_url).rstrip('/')}/{api_id}@1"
    assert answer.json() == document | {"servers": [{"url": url}]}


async def test_404_document_of_a_version_without_one_says_why(world: World) -> None:
    person = await world.person()
    api_id = await created(world, person)
    async with world.client(person) as client:
        missing = await client.get(f"/api/apis/{api_id}/versions/1/openapi.json")
        unknown = await client.get(f"/api/apis/{api_id}/versions/2/openapi.json")
        version = await client.get(f"/api/apis/{api_id}/versions/1")
    assert_problem(missing, 404, "no_document")
    assert missing.json()["detail"] == "no app was asked"
    assert_problem(unknown, 404, "version_not_found")
    assert version.json()["openapi_note"] == "no app was asked"


async def test_404_document_of_somebody_elses_api(world: World) -> None:
    api_id = await created(world, await world.person())
    async with world.client(await world.person()) as client:
        answer = await client.get(f"/api/apis/{api_id}/versions/1/openapi.json")
    assert_problem(answer, 404, "api_not_found")
