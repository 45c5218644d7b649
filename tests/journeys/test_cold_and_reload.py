"""Cold starts and reloads lose no call."""

import asyncio

from tests.journeys import apps
from tests.journeys.callers import at_once, crowd, while_doing
from tests.support.installation import Installation


async def test_1000_parallel_first_calls_are_one_start(made: Installation) -> None:
    api = made.deploy("cold", apps.USER_APP)
    made.lift_limits(api["tenant_id"])
    with made.admin() as admin:
        for status in ("paused", "active"):  # pausing ends its sandbox
            admin.patch(f"/api/apis/{api['id']}", json={"status": status}).raise_for_status()
    async with crowd(made.url, api["api_key"], connections=1000) as client:
        seen = await at_once(client, f"/{api['id']}", 1000)
    assert seen.statuses == {200: 1000}
    assert not seen.broken
    assert sandboxes_of(made, api["id"]) == 1


def sandboxes_of(made: Installation, api_id: str) -> int:
    """How many sandboxes the manager has for an API."""
    with made.client(Authorization=f"Bearer {made.first['admin_api_key']}") as client:
        stats = client.get("/api/stats").json()
    return sum(1 for box in stats["sandboxes"] if box["api_id"] == api_id)


async def test_20_reloads_under_load_fail_no_call(made: Installation) -> None:
    api = made.deploy("reloaded", apps.VERSIONED.format(number=1))
    made.lift_limits(api["tenant_id"])

    async def reload() -> None:
        async with crowd(made.url, made.first["admin_api_key"]) as admin:
            for _ in range(20):
                async with admin.post(f"/admin/reload/{api['id']}") as answer:
                    assert answer.status == 200, await answer.text()

    async with crowd(made.url, api["api_key"]) as client:
        seen = await while_doing(client, f"/{api['id']}", reload)
    assert set(seen.statuses) == {200}, seen
    assert not seen.broken


async def test_20_new_versions_under_load_fail_no_call(made: Installation) -> None:
    api = made.deploy("versions", apps.VERSIONED.format(number=1))
    made.lift_limits(api["tenant_id"])

    async def deploy() -> None:
        with made.admin() as admin:
            for number in range(2, 22):
                code = apps.VERSIONED.format(number=number)
                answer = await asyncio.to_thread(
                    admin.post, f"/api/apis/{api['id']}/versions", json={"code": code}
                )
                assert answer.status_code == 201, answer.text

    async with crowd(made.url, api["api_key"]) as client:
        seen = await while_doing(client, f"/{api['id']}", deploy)
    assert set(seen.statuses) == {200}, seen
    assert not seen.broken
    with made.client(Authorization=f"Bearer {api['api_key']}") as caller:
        assert caller.get(f"/{api['id']}").json() == {"version": 21}
        assert caller.get(f"/{api['id']}@3").json() == {"version": 3}
