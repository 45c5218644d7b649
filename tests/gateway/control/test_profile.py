"""Profiles over HTTP: one's own, and what others see of it."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from gateway.store.embedded import EmbeddedPostgres
from tests.support.control import World
from tests.support.factories import Person
from tests.support.one_database import one_database
from tests.support.problems import assert_problem

ADA = {
    "display_name": "Ada",
    "bio": "First.\nAlways.",
    "links": [{"label": "Page", "url": "https://ada.example"}],
    "is_public": True,
    "preferences": {"theme": "dark"},
}


@pytest.fixture(scope="module")
def database_name(postgres: EmbeddedPostgres) -> Iterator[str]:
    """Tests here look only at what they made themselves."""
    with one_database(postgres) as name:
        yield name


async def change(world: World, person: Person, body: dict[str, Any]) -> dict[str, Any]:
    async with world.client(person) as client:
        answer = await client.patch("/api/profile", json=body)
    assert answer.status_code == 200, answer.text
    changed: dict[str, Any] = answer.json()
    return changed


async def own(world: World, person: Person) -> dict[str, Any]:
    async with world.client(person) as client:
        found: dict[str, Any] = (await client.get("/api/profile")).json()
    return found


async def test_200_everybody_has_a_profile_that_shows_nothing(world: World) -> None:
    person = await world.person()
    found = await own(world, person)
    assert (found["id"], found["email"]) == (person.id, person.email)
    assert (found["display_name"], found["bio"], found["links"]) == ("", "", [])
    assert found["is_public"] is False
    assert found["preferences"] == {"theme": "system", "language": "en", "time_zone": "UTC"}


async def test_200_what_is_changed_stays_changed(world: World) -> None:
    person = await world.person()
    changed = await change(world, person, ADA)
    assert {name: changed[name] for name in ("display_name", "bio", "links")} == {
        name: ADA[name] for name in ("display_name", "bio", "links")
    }
    assert await own(world, person) == changed


async def test_200_what_is_absent_stays(world: World) -> None:
    person = await world.person()
    await change(world, person, ADA)
    changed = await change(world, person, {"bio": ""})
    assert (changed["display_name"], changed["bio"]) == ("Ada", "")
    assert changed["preferences"]["theme"] == "dark"


async def test_200_null_takes_a_preference_back(world: World) -> None:
    person = await world.person()
    await change(world, person, {"preferences": {"theme": "dark", "language": "de"}})
    changed = await change(world, person, {"preferences": {"theme": None}})
    assert changed["preferences"] == {"theme": "system", "language": "de", "time_zone": "UTC"}


async def test_nobody_changes_the_profile_of_somebody_else(world: World) -> None:
    person, other = await world.person(), await world.person()
    await change(world, person, ADA)
    assert (await own(world, other))["display_name"] == ""


async def test_200_a_public_profile_is_seen_without_what_is_private(world: World) -> None:
    person, somebody = await world.person(), await world.person()
    await change(world, person, ADA)
    for everybody in (world.client(), world.client(somebody), world.admin()):
        async with everybody as client:
            answer = await client.get(f"/api/profile/{person.id}")
        assert answer.status_code == 200
        assert answer.json() == {
            "id": person.id,
            **{name: ADA[name] for name in ("display_name", "bio", "links")},
            "icon_id": None,
            "icon_url": None,
        }


async def test_404_a_private_profile_is_as_if_it_were_not_there(world: World) -> None:
    person, somebody = await world.person(), await world.person()
    async with world.client(somebody) as client:
        private = await client.get(f"/api/profile/{person.id}")
        absent = await client.get(f"/api/profile/{uuid4()}")
    seen = [assert_problem(answer, 404, "profile_not_found") for answer in (private, absent)]
    assert seen[0]["detail"] == seen[1]["detail"]


async def test_404_what_was_public_can_be_taken_back(world: World) -> None:
    person = await world.person()
    await change(world, person, ADA)
    await change(world, person, {"is_public": False})
    async with world.client() as client:
        answer = await client.get(f"/api/profile/{person.id}")
    assert_problem(answer, 404, "profile_not_found")


async def test_a_profile_goes_with_its_person(world: World, owner: asyncpg.Connection) -> None:
    person = await world.person()
    await change(world, person, ADA)
    await owner.execute("delete from public.user_profiles where id = $1", person.id)
    async with world.client() as client:
        answer = await client.get(f"/api/profile/{person.id}")
    assert_problem(answer, 404, "profile_not_found")


async def test_401_nobody_has_no_profile(world: World) -> None:
    async with world.client() as client:
        for answer in (await client.get("/api/profile"), await client.patch("/api/profile")):
            assert_problem(answer, 401, "unauthorized")


async def test_403_the_admin_key_has_no_profile(world: World) -> None:
    async with world.admin() as client:
        for answer in (
            await client.get("/api/profile"),
            await client.patch("/api/profile", json={}),
        ):
            assert_problem(answer, 403, "person_required")


REFUSED: list[tuple[object, str]] = [
    ({"display_name": "a\0b"}, "invalid_name"),
    ({"display_name": "n" * 10_000}, "invalid_name"),
    ({"bio": "\u202e"}, "invalid_text"),
    ({"bio": "fine", "links": [{"label": "x", "url": "javascript:alert(1)"}]}, "invalid_link"),
    ({"links": [{"label": "x", "url": "https://a.example"}] * 9}, "invalid_link"),
    ({"links": [{"label": "x"}]}, "invalid_input"),
    ({"links": None}, "invalid_input"),
    ({"preferences": {"time_zone": "Nowhere"}}, "invalid_preference"),
    ({"preferences": {"colour": "red"}}, "invalid_input"),
    ({"is_public": "yes"}, "invalid_input"),
    ({"is_admin": True}, "invalid_input"),
    ({"email": "other@example.com"}, "invalid_input"),
    ([], "invalid_input"),
]


async def test_422_what_is_refused_changes_nothing(world: World) -> None:
    person = await world.person()
    before = await own(world, person)
    async with world.client(person) as client:
        for body, code in REFUSED:
            assert_problem(await client.patch("/api/profile", json=body), 422, code)
        lone = await client.patch(
            "/api/profile",
            content=b'{"display_name": "\\ud800"}',
            headers={"content-type": "application/json"},
        )
    assert lone.status_code == 422
    assert await own(world, person) == before
