"""Who has which generation: shown, waited for, tried without touching anything."""

import asyncio

import asyncpg
import pytest

from gateway.store import generations
from gateway.store.generations import Report
from tests.gateway.control.test_reload import generation, running
from tests.support.control import World
from tests.support.factories import make_api
from tests.support.problems import assert_problem

AT = "2026-11-22T00:00:00+00:00"


async def tell(world: World, name: str, at: int, broken: dict[str, str] | None = None) -> None:
    """A gateway says what it has handled."""
    await generations.report(
        world.database, Report(name, "node", name, 7, AT, AT, at, 2, broken or {})
    )


async def test_200_every_gateway_with_what_it_has_handled(world: World) -> None:
    now = await generations.current(world.database)
    await tell(world, "gateway-1", now)
    await tell(world, "gateway-2", now - 1, {"some-api": "KeyError: 'min'"})
    async with world.admin() as client:
        answer = await client.get("/admin/workers")
    body = answer.json()
    assert answer.headers["etag"] == f'"{now}"'
    assert (body["generation"], body["complete"]) == (now, False)
    assert [each["is_current"] for each in body["workers"]] == [True, False]
    assert body["workers"][0]["in_flight"] == 2
    assert body["workers"][1]["broken"] == {"some-api": "KeyError: 'min'"}
    assert 0 <= body["workers"][0]["seen_seconds"] < 60


async def test_403_only_administrators_see_them(world: World) -> None:
    async with world.client(await world.person()) as client:
        assert_problem(await client.get("/admin/workers"), 403, "forbidden")


@pytest.mark.parametrize(("query", "headers"), [("?wait=true", {}), ("", {"Prefer": "wait=20"})])
async def test_200_answers_when_every_gateway_has_it(
    world: World, query: str, headers: dict[str, str]
) -> None:
    api = await running(world)
    await tell(world, "gateway-1", 0)
    async with world.admin() as client:
        asked = asyncio.create_task(client.post(f"/admin/reload/{api.id}{query}", headers=headers))
        while await generation(world, api) != 2:
            await asyncio.sleep(0.01)
        assert not asked.done()
        await tell(world, "gateway-1", await generations.current(world.database))
        answer = await asked
    assert answer.headers["preference-applied"].startswith("wait=")
    body = answer.json()
    assert body["report"]["reloaded"] == [{"api_id": api.id, "generation": 2}]
    assert body["handled"]["complete"] is True


async def test_200_says_who_has_it_not_when_the_time_is_over(world: World) -> None:
    await tell(world, "gateway-1", 0)
    async with world.admin() as client:
        answer = await client.post("/admin/reload", headers={"Prefer": "wait=1"})
    handled = answer.json()["handled"]
    assert handled["complete"] is False
    assert [each["is_current"] for each in handled["workers"]] == [False]


async def test_200_a_dry_run_tells_what_would_change_and_what_is_broken(
    world: World, owner: asyncpg.Connection
) -> None:
    api = await running(world)
    cold = await make_api(world.database, api.tenant_id)
    broken = await make_api(world.database, api.tenant_id)
    await ruin(owner, broken.id)
    before, specs = await generations.current(world.database), dict(world.sandboxes.running)
    async with world.admin() as client:
        whole = (await client.post("/admin/reload?dry_run=true")).json()
        one = (await client.post(f"/admin/reload/{cold.id}?dry_run=true")).json()
    assert (whole["dry_run"], whole["generation"], whole["checked"]) == (True, before, 3)
    (would,) = whole["would_reload"]
    assert (would["api_id"], would["generation"], would["next_generation"]) == (api.id, 1, 2)
    (found,) = whole["broken"]
    assert found["api_id"] == broken.id
    assert "memory_mb" in found["reason"]
    assert [each["api_id"] for each in one["would_reload"]] == [cold.id]
    assert one["would_reload"][0]["sandboxes"] == 0
    assert await generations.current(world.database) == before
    assert world.sandboxes.running == specs
    assert world.changes.published == []


async def ruin(
    owner: asyncpg.Connection,
    api_id: str,
    garbage: str = """resources = '{"memory_mb": "much"}'""",
) -> None:
    """Garbage by hand, past every check."""
    for check in await owner.fetch(
        "select conname from pg_constraint where conrelid = 'public.apis'::regclass"
        " and contype = 'c'"
    ):
        await owner.execute(f"alter table public.apis drop constraint {check['conname']}")
    await owner.execute(f"update public.apis set {garbage} where id = $1::uuid", api_id)


@pytest.mark.parametrize(
    "garbage",
    [
        "resources = '[]'",
        "tier = 'garbage'",
        "instances = '7'",
        'resources = \'{"memory_mb": "much"}\'',
    ],
)
async def test_200_a_ruined_row_takes_no_other_out_of_the_reload(
    world: World, owner: asyncpg.Connection, garbage: str
) -> None:
    good, bad = await running(world), await running(world)
    await ruin(owner, bad.id, garbage)
    before = await generations.current(world.database)
    async with world.admin() as client:
        answer = await client.post("/admin/reload")
        assert answer.status_code == 200
        one = await client.post(f"/admin/reload/{bad.id}")
    assert {"api_id": good.id, "generation": 2} in answer.json()["reloaded"]
    reported = [each["api_id"] for each in answer.json()["failed"]]
    assert reported == ([] if one.status_code == 200 else [bad.id])
    assert one.status_code == 200 or one.json()["code"] != "internal_error"
    assert await generations.current(world.database) > before


async def test_412_nothing_happens_when_something_changed_since_one_looked(world: World) -> None:
    api = await running(world)
    async with world.admin() as client:
        seen = (await client.get("/admin/workers")).headers["etag"]
        await generations.forget_all(world.database)
        for path in ("/admin/reload", f"/admin/reload/{api.id}"):
            answer = await client.post(path, headers={"If-Match": seen})
            assert_problem(answer, 412, "generation_changed")
        assert await generation(world, api) == 1
        current = (await client.get("/admin/workers")).headers["etag"]
        answer = await client.post(f"/admin/reload/{api.id}", headers={"If-Match": current})
        assert answer.status_code == 200
        assert_problem(
            await client.post("/admin/reload", headers={"If-Match": "soon"}), 422, "invalid_input"
        )


async def test_a_reload_of_all_is_announced_to_every_gateway(world: World) -> None:
    before = await generations.current(world.database)
    async with world.admin() as client:
        await client.post("/admin/reload")
    assert await generations.current(world.database) == before + 1
    assert world.changes.published[-1] == ("all", "")
