"""Keys as their owners and callers live with them, on a whole installation."""

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.journeys import apps
from tests.journeys.callers import crowd, while_doing
from tests.support.installation import Installation
from tests.support.waiting import until_blocking


@pytest.fixture
def owner(made: Installation) -> Iterator[httpx.Client]:
    with made.admin() as client:
        yield client


@pytest.fixture
def api(made: Installation, owner: httpx.Client) -> Iterator[dict[str, Any]]:
    api = made.deploy("keys of cats", apps.METHODS)
    made.lift_limits(api["tenant_id"])
    yield api
    owner.delete(f"/api/apis/{api['id']}")


def new_key(owner: httpx.Client, api: dict[str, Any], **asked: Any) -> dict[str, Any]:
    answer = owner.post(f"/api/apis/{api['id']}/keys", json=asked)
    assert answer.status_code == 201, answer.text
    key: dict[str, Any] = answer.json()
    return key


def call(made: Installation, key: str, path: str, method: str = "GET") -> httpx.Response:
    with made.client(Authorization=f"Bearer {key}") as caller:
        return caller.request(method, path)


async def test_a_rotation_under_load_fails_no_call(
    made: Installation, owner: httpx.Client, api: dict[str, Any]
) -> None:
    old = new_key(owner, api, limits={"day": 1_000_000})
    path = f"/{api['id']}"
    made_of_it: dict[str, Any] = {}

    async def rotate() -> None:
        answer = await asyncio.to_thread(owner.post, f"/api/keys/{old['id']}/rotate")
        made_of_it.update(answer.json())
        async with crowd(made.url, made_of_it["key"]) as successors:
            seen = await while_doing(successors, path, lambda: asyncio.sleep(0.5))
        assert set(seen.statuses) == {200}
        assert not seen.broken

    async with crowd(made.url, old["key"]) as callers:
        seen = await while_doing(callers, path, rotate)
    assert set(seen.statuses) == {200}
    assert not seen.broken
    told = call(made, old["key"], path).headers["x-sandgate-key-ends"]
    assert told[:19] == made_of_it["replaces_until"][:19]
    assert "x-sandgate-key-ends" not in call(made, made_of_it["key"], path).headers


async def test_a_revoked_key_stops_under_load(
    made: Installation, owner: httpx.Client, api: dict[str, Any]
) -> None:
    key = new_key(owner, api)
    path = f"/{api['id']}"

    async def revoke() -> None:
        good = await asyncio.to_thread(call, made, key["key"], path)
        assert good.status_code == 200
        answer = await asyncio.to_thread(owner.delete, f"/api/keys/{key['id']}")
        assert answer.status_code == 204
        for _ in range(20):  # whichever worker answers
            refused = await asyncio.to_thread(call, made, key["key"], path)
            assert (refused.status_code, refused.json()["code"]) == (401, "key_revoked")

    async with crowd(made.url, key["key"]) as callers:
        seen = await while_doing(callers, path, revoke)
    assert set(seen.statuses) <= {200, 401}
    assert seen.statuses[401] > 0
    assert not seen.broken


def test_a_narrow_key_and_what_its_owner_changes(
    made: Installation, owner: httpx.Client, api: dict[str, Any]
) -> None:
    scopes = {"methods": ["GET"], "paths": ["/items/*"]}
    key = new_key(owner, api, scopes=scopes, allowed_addresses=["127.0.0.1"])
    root = f"/{api['id']}"
    assert call(made, key["key"], f"{root}/items/1").status_code == 200
    for method, path in (("GET", "/seen"), ("DELETE", "/items/1"), ("GET", "/items/%2e%2e/seen")):
        refused = call(made, key["key"], root + path, method)
        assert (refused.status_code, refused.json()["code"]) == (403, "key_scope")
    changes: list[tuple[dict[str, Any], int, str]] = [
        ({"scopes": {}, "allowed_addresses": ["192.0.2.0/24"]}, 403, "key_address"),
        ({"allowed_addresses": [], "limits": {"day": 1}}, 429, "rate_limited"),
    ]
    for change, status, code in changes:
        assert owner.patch(f"/api/keys/{key['id']}", json=change).status_code == 200
        answers = [call(made, key["key"], f"{root}/seen") for _ in range(2)]
        assert (answers[1].status_code, answers[1].json()["code"]) == (status, code)


def test_a_key_found_in_the_open_is_ended_and_its_use_was_seen(
    made: Installation, owner: httpx.Client, api: dict[str, Any]
) -> None:
    key = new_key(owner, api)
    assert call(made, key["key"], f"/{api['id']}").status_code == 200

    def listed() -> dict[str, Any]:
        items = owner.get(f"/api/apis/{api['id']}/keys").json()["items"]
        found: dict[str, Any] = next(item for item in items if item["id"] == key["id"])
        return found

    until_blocking(lambda: listed()["last_used_at"] is not None, 60)  # minute-fresh is promised
    with made.client() as anybody:
        finding = {"token": key["key"], "type": "sandgate", "url": "https://example.com/.env"}
        answer = anybody.post("/api/keys/report", json=[finding])
    assert (answer.status_code, answer.json()) == (202, {"received": 1})
    assert call(made, key["key"], f"/{api['id']}").json()["code"] == "key_revoked"
    assert listed()["revoked_reason"].endswith("https://example.com/.env")
