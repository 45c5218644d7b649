"""Call settings and price of an API: set, replaced, shown, refused."""

from typing import Any

import pytest

from gateway.store.call_settings import PLAIN
from gateway.store.routes import RouteStore
from tests.support.control import World
from tests.support.problems import assert_problem
from tests.support.sandboxes import GOOD

SETTINGS = {
    "cors": {"origins": ["https://App.example.com:443"], "credentials": True},
    "cache": True,
    "max_concurrency": 5,
    "queue": 2,
    "websocket": {"message_bytes": 100},
    "streams": {"idle_seconds": 90},
    "documents": "public",
    "validate": True,
}


async def test_201_nothing_is_set_unless_asked_for(world: World) -> None:
    async with world.client(await world.person()) as client:
        made = (await client.post("/api/apis", json={"name": "x", "code": GOOD})).json()
    shown = made["call_settings"]
    assert (shown["cors"], shown["cache"], shown["documents"]) == (None, False, "key")
    assert shown["websocket"]["idle_seconds"] == 60
    route = await RouteStore(world.database).route(made["id"])
    assert route is not None
    assert (route.settings, route.price_nano_usd) == (PLAIN, 0)


async def test_201_what_was_asked_for_is_what_calls_get(world: World) -> None:
    async with world.client(await world.person()) as client:
        body = {"name": "x", "code": GOOD, "call_settings": SETTINGS, "price_nano_usd": 2000}
        made = (await client.post("/api/apis", json=body)).json()
        read = (await client.get(f"/api/apis/{made['slug']}")).json()
    assert read["call_settings"]["cors"]["origins"] == ["https://app.example.com"]
    assert read["call_settings"]["websocket"]["message_bytes"] == 100
    assert (read["call_settings"]["validate"], read["price_nano_usd"]) == (True, 2000)
    route = await RouteStore(world.database).route(made["id"])
    assert route is not None
    assert route.settings.cors is not None
    assert (route.settings.cors.credentials, route.settings.queue) == (True, 2)
    assert route.settings.streams.idle_seconds == 90
    assert (route.settings.max_concurrency, route.price_nano_usd) == (5, 2000)


async def test_200_an_object_replaces_the_whole_and_absence_keeps_it(world: World) -> None:
    async with world.client(await world.person()) as client:
        body: dict[str, Any] = {"name": "x", "code": GOOD, "call_settings": SETTINGS}
        made = (await client.post("/api/apis", json=body)).json()
        path = f"/api/apis/{made['id']}"
        kept = (await client.patch(path, json={"price_nano_usd": 7})).json()
        assert kept["call_settings"] == made["call_settings"]
        changed = (await client.patch(path, json={"call_settings": {"queue": 1}})).json()
        emptied = (await client.patch(path, json={"call_settings": {}})).json()
    assert (changed["call_settings"]["queue"], changed["call_settings"]["cors"]) == (1, None)
    assert (changed["generation"], changed["price_nano_usd"]) == (1, 7)
    assert emptied["call_settings"]["queue"] is None


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"call_settings": {"cors": {"origins": ["null"]}}}, "invalid_call_settings"),
        (
            {"call_settings": {"cors": {"origins": ["*"], "credentials": True}}},
            "invalid_call_settings",
        ),
        ({"call_settings": {"cors": {}}}, "invalid_input"),
        ({"call_settings": {"colour": "red"}}, "invalid_input"),
        ({"call_settings": {"cache": "yes"}}, "invalid_input"),
        ({"call_settings": {"queue": 1001}}, "invalid_input"),
        ({"call_settings": {"queue": 0.5}}, "invalid_input"),
        ({"call_settings": {"documents": "all"}}, "invalid_input"),
        ({"call_settings": []}, "invalid_input"),
        ({"call_settings": None}, "invalid_input"),
        ({"price_nano_usd": -1}, "invalid_input"),
        ({"price_nano_usd": 0.5}, "invalid_input"),
        ({"price_nano_usd": None}, "invalid_input"),
    ],
)
async def test_422_what_cannot_be_kept(world: World, body: dict[str, Any], code: str) -> None:
    person = await world.person()
    async with world.client(person) as client:
        made = (await client.post("/api/apis", json={"name": "x", "code": GOOD})).json()
        answer = await client.patch(f"/api/apis/{made['id']}", json=body)
        assert_problem(answer, 422, code)
        again = (await client.get(f"/api/apis/{made['id']}")).json()
    assert again["call_settings"] == made["call_settings"]
