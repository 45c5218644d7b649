"""Routes of keys."""

from uuid import uuid4

import pytest

from gateway.auth.keys import hash_key, is_well_formed
from gateway.store.database import SERVICE
from tests.support.control import KEY_SECRET, World
from tests.support.factories import MadeApi, Person, make_api
from tests.support.problems import assert_problem


async def made(world: World) -> tuple[Person, MadeApi]:
    person = await world.person()
    return person, await make_api(world.database, person.tenant_id)


async def test_201_key_is_shown_once_and_opens_only_this_api(world: World) -> None:
    person, api = await made(world)
    await make_api(world.database, person.tenant_id)
    body = {"name": "phone", "limits": {"minute": 3}, "expires_at": "2090-01-01T00:00:00+02:00"}
    async with world.client(person) as client:
        answer = await client.post(f"/api/apis/{api.id}/keys", json=body)
        listed = await client.get(f"/api/apis/{api.id}/keys")
    key = answer.json()
    assert answer.status_code == 201
    assert is_well_formed(key["key"])
    assert (key["name"], key["api_ids"], key["limits"]) == ("phone", [api.id], {"minute": 3})
    assert key["expires_at"].startswith("2089-12-31T22:00:00")
    assert key["key"] not in listed.text
    assert "hash" not in listed.text
    found = await world.database.rpc(
        "gateway_key", {"p_key_hash": hash_key(key["key"], KEY_SECRET)}, identity=SERVICE
    )
    assert (found["key_id"], found["api_ids"]) == (key["id"], [api.id])


async def test_200_list_has_the_keys_of_this_api(world: World) -> None:
    person, api = await made(world)
    async with world.client(person) as client:
        await client.post(f"/api/apis/{api.id}/keys", json={})
        items = (await client.get(f"/api/apis/{api.id}/keys")).json()["items"]
    assert {item["id"] for item in items} >= {api.key.id}
    assert len(items) == 2
    assert all(item["revoked_at"] is None for item in items)


async def test_204_revocation_is_announced_before_the_answer(world: World) -> None:
    person, api = await made(world)
    async with world.client(person) as client:
        answer = await client.delete(f"/api/keys/{api.key.id}")
        again = await client.delete(f"/api/keys/{api.key.id}")
        items = (await client.get(f"/api/apis/{api.id}/keys")).json()["items"]
    assert (answer.status_code, again.status_code) == (204, 204)
    assert world.changes.published == [("key", api.key.id)]
    assert items[0]["revoked_at"] is not None


async def test_404_key_of_strangers_stays_alive(world: World) -> None:
    _, api = await made(world)
    stranger = await world.person()
    async with world.client(stranger) as client:
        assert_problem(await client.delete(f"/api/keys/{api.key.id}"), 404, "key_not_found")
        assert_problem(await client.delete(f"/api/keys/{uuid4()}"), 404, "key_not_found")
    assert world.changes.published == []


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"expires_at": "2020-01-01T00:00:00Z"}, "invalid_expiry"),
        ({"expires_at": "2090-01-01T00:00:00"}, "invalid_input"),
        ({"expires_at": "tomorrow"}, "invalid_input"),
        ({"name": ""}, "invalid_name"),
        ({"name": "a\0"}, "invalid_name"),
        ({"limits": {"hour": 0}}, "invalid_input"),
        ({"api_ids": []}, "invalid_input"),
        ("key", "invalid_input"),
    ],
)
async def test_422_values_that_are_not_acceptable(world: World, body: object, code: str) -> None:
    person, api = await made(world)
    async with world.client(person) as client:
        answer = await client.post(f"/api/apis/{api.id}/keys", json=body)
    assert_problem(answer, 422, code)
