"""Times come in any zone, and mean one moment."""

import pytest

from tests.support.control import World
from tests.support.factories import make_api
from tests.support.problems import assert_problem


@pytest.mark.parametrize(
    "text",
    [
        "2090-01-01T00:00:00Z",
        "2090-01-01T05:45:00+05:45",
        "2089-12-31T12:00:00-12:00",
        "2090-01-01T14:00:00+14:00",
    ],
)
async def test_the_same_moment_whatever_the_zone(world: World, text: str) -> None:
    person = await world.person()
    api = await make_api(world.database, person.tenant_id)
    async with world.client(person) as client:
        made = await client.post(f"/api/apis/{api.id}/keys", json={"expires_at": text})
        listed = await client.get(f"/api/apis/{api.id}/keys")
    assert made.status_code == 201, made.text
    assert made.json()["expires_at"].startswith("2090-01-01T00:00:00")
    assert made.json()["expires_at"] in listed.text


@pytest.mark.parametrize(
    "text",
    [
        "2090-01-01T00:00:00",  # of which zone?
        "2090-01-01T00:00:00+99:99",
        "2090-02-30T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "99999-01-01T00:00:00Z",
        "0001-01-01T00:00:00+14:00",  # before the first moment that there is in UTC
        "9999-12-31T23:59:59-12:00",  # after the last
    ],
)
async def test_422_a_time_that_is_none(world: World, text: str) -> None:
    person = await world.person()
    api = await make_api(world.database, person.tenant_id)
    async with world.client(person) as client:
        answer = await client.post(f"/api/apis/{api.id}/keys", json={"expires_at": text})
    assert_problem(answer, 422, answer.json()["code"])
