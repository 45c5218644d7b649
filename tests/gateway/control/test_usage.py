"""Routes of usage, logs and tenants."""

import time
from uuid import uuid4

import pytest

from gateway.limits.types import Limit, Window
from gateway.store.database import SERVICE
from sandbox.types import LogLine, ManagerUnavailableError
from tests.support.control import World
from tests.support.factories import add_member, make_api, make_tenant, usage_call
from tests.support.problems import assert_problem

NOTHING_LEFT = {"limit": 100, "used": 100, "remaining": 0}


async def test_200_analytics_sums_calls_of_the_last_days(world: World) -> None:
    world.now = time.time()
    person = await world.person()
    api = await make_api(world.database, person.tenant_id)
    calls = [
        usage_call(api, world.now - 5, status_code=200, path="/facts"),
        usage_call(api, world.now - 6, status_code=500),
    ]
    await world.database.rpc("record_usage", {"p_calls": calls}, identity=SERVICE)
    async with world.client(person) as client:
        sums = (await client.get(f"/api/api-analytics/{api.id}?days=1")).json()
    assert (sums["calls"], sums["errors"], sums["days"]) == (2, 1, 1)
    assert (sums["request_bytes"], sums["response_bytes"], sums["p50_ms"]) == (20, 40, 1.5)
    assert {path["path"] for path in sums["top_paths"]} == {"/facts", "/"}
    assert sums["by_version"][0]["version"] == 1


async def test_200_analytics_of_an_api_nobody_called(world: World) -> None:
    person = await world.person()
    api = await make_api(world.database, person.tenant_id)
    async with world.client(person) as client:
        sums = (await client.get(f"/api/api-analytics/{api.id}")).json()
    assert (sums["calls"], sums["p95_ms"], sums["by_day"]) == (0, None, [])


@pytest.mark.parametrize("days", ["0", "3661", "x"])
async def test_422_days_out_of_bounds(world: World, days: str) -> None:
    person = await world.person()
    api = await make_api(world.database, person.tenant_id)
    async with world.client(person) as client:
        answer = await client.get(f"/api/api-analytics/{api.id}?days={days}")
    assert_problem(answer, 422, "invalid_input")


async def test_200_limit_usage_is_what_the_limiter_counted(world: World) -> None:
    person = await world.person()
    limit = Limit(f"tenant:{person.tenant_id}", Window.HOUR, 100)
    for _ in range(100):
        await world.limiter.admit([limit])
    async with world.client(person) as client:
        (tenant,) = (await client.get("/api/rate-limit/usage")).json()["items"]
    windows = {window["window"]: window for window in tenant["windows"]}
    assert (tenant["tenant_id"], tenant["plan"]) == (person.tenant_id, "free")
    assert windows["hour"].items() >= NOTHING_LEFT.items()
    assert windows["hour"]["reset_seconds"] > 0
    assert (windows["day"]["limit"], windows["day"]["remaining"]) == (None, None)


async def test_200_tenants_own_limits_replace_those_of_the_plan(world: World) -> None:
    person = await world.person()
    body = {"limits": {"hour": None, "minute": 7}}
    async with world.admin() as client:
        await client.patch(f"/api/admin/tenants/{person.tenant_id}", json=body)
    async with world.client(person) as client:
        (tenant,) = (await client.get("/api/rate-limit/usage")).json()["items"]
    assert [window["limit"] for window in tenant["windows"]] == [7, None, None]


class TestTenants:
    async def test_200_plan_status_and_limits_change_and_are_announced(self, world: World) -> None:
        person = await world.person()
        path = f"/api/admin/tenants/{person.tenant_id}"
        body = {"plan": "pro", "status": "suspended", "limits": {"hour": None, "day": 5}}
        async with world.admin() as client:
            changed = (await client.patch(path, json=body)).json()
            read = (await client.get(path)).json()
        assert changed == read
        assert (read["plan"], read["status"]) == ("pro", "suspended")
        assert read["limits"] == {"hour": None, "day": 5}
        assert ("tenant", person.tenant_id) in world.changes.published

    async def test_200_null_for_all_limits_is_unlimited_in_every_window(self, world: World) -> None:
        person = await world.person()
        async with world.admin() as client:
            answer = await client.patch(
                f"/api/admin/tenants/{person.tenant_id}", json={"limits": None}
            )
        assert answer.json()["limits"] == {"minute": None, "hour": None, "day": None}

    async def test_200_admin_person_may_do_it_too(self, world: World) -> None:
        person, admin = await world.person(), await world.person(is_admin=True)
        async with world.client(admin) as client:
            answer = await client.patch(
                f"/api/admin/tenants/{person.tenant_id}", json={"plan": "pro"}
            )
        assert (answer.status_code, answer.json()["plan"]) == (200, "pro")

    @pytest.mark.parametrize(
        ("body", "code"),
        [
            ({"plan": "gold"}, "unknown_plan"),
            ({"plan": None}, "invalid_input"),
            ({"status": "gone"}, "invalid_input"),
            ({"limits": {"hour": 0}}, "invalid_input"),
            ({"limits": {"hour": -5}}, "invalid_input"),
            ({"limits": {"hour": "many"}}, "invalid_input"),
            ({"limits": {"fortnight": 5}}, "invalid_input"),
            ({"owner_id": "me"}, "invalid_input"),
        ],
    )
    async def test_422_values_that_are_not_acceptable(
        self, world: World, body: dict[str, object], code: str
    ) -> None:
        person = await world.person()
        async with world.admin() as client:
            answer = await client.patch(f"/api/admin/tenants/{person.tenant_id}", json=body)
        assert_problem(answer, 422, code)

    async def test_404_unknown_tenant(self, world: World) -> None:
        async with world.admin() as client:
            for method in ("GET", "PATCH"):
                answer = await client.request(method, f"/api/admin/tenants/{uuid4()}", json={})
                assert_problem(answer, 404, "tenant_not_found")

    async def test_200_search_takes_no_wildcards(self, world: World) -> None:
        person = await world.person()
        await make_tenant(world.database, person, name="Cats_100%")
        async with world.admin() as client:
            names = {
                query: [
                    t["name"] for t in (await client.get(path, params={"q": query})).json()["items"]
                ]
                for path in ["/api/admin/tenants"]
                for query in ("cats", "s_1", "0%", "s%1", "c_ts")
            }
            everybody = (await client.get("/api/admin/tenants?limit=1")).json()["items"]
        assert names == {
            "cats": ["Cats_100%"],
            "s_1": ["Cats_100%"],
            "0%": ["Cats_100%"],
            "s%1": [],
            "c_ts": [],
        }
        assert len(everybody) == 1

    async def test_200_own_tenants_with_role(self, world: World) -> None:
        person, owner = await world.person(), await world.person()
        team = await make_tenant(world.database, owner)
        await add_member(world.database, team, person.id, "viewer")
        async with world.client(person) as client:
            items = (await client.get("/api/tenants")).json()["items"]
            me = (await client.get("/api/me")).json()
        roles = {item["id"]: item["role"] for item in items}
        assert roles == {person.tenant_id: "owner", team: "viewer"}
        assert (me["user_id"], me["email"], me["is_admin"]) == (person.id, person.email, False)
        assert me["tenants"] == items

    async def test_200_admin_key_is_nobody(self, world: World) -> None:
        async with world.admin() as client:
            me = (await client.get("/api/me")).json()
        assert me == {"user_id": None, "email": None, "is_admin": True, "tenants": []}


class TestLogs:
    async def test_200_last_lines(self, world: World) -> None:
        person = await world.person()
        api = await make_api(world.database, person.tenant_id)
        world.sandboxes.lines[api.id] = [
            LogLine(1.0, "stdout", "one"),
            LogLine(2.0, "stderr", "two \udc80"),
        ]
        async with world.client(person) as client:
            both = (await client.get(f"/api/apis/{api.id}/logs")).json()["items"]
            last = (await client.get(f"/api/apis/{api.id}/logs?tail=1")).json()["items"]
        assert both == [
            {"at": 1.0, "stream": "stdout", "text": "one"},
            {"at": 2.0, "stream": "stderr", "text": "two ?"},
        ]
        assert last == both[1:]

    async def test_403_viewer(self, world: World) -> None:
        owner, viewer = await world.person(), await world.person()
        team = await make_tenant(world.database, owner)
        await add_member(world.database, team, viewer.id, "viewer")
        api = await make_api(world.database, team)
        async with world.client(viewer) as client:
            assert_problem(await client.get(f"/api/apis/{api.id}/logs"), 403, "forbidden")

    async def test_422_tail_out_of_bounds(self, world: World) -> None:
        person = await world.person()
        api = await make_api(world.database, person.tenant_id)
        async with world.client(person) as client:
            answer = await client.get(f"/api/apis/{api.id}/logs?tail=1001")
        assert_problem(answer, 422, "invalid_input")

    async def test_503_manager_away(self, world: World) -> None:
        person = await world.person()
        api = await make_api(world.database, person.tenant_id)
        world.sandboxes.fails = ManagerUnavailableError("gone")
        async with world.client(person) as client:
            answer = await client.get(f"/api/apis/{api.id}/logs")
        assert_problem(answer, 503, "sandboxes_unavailable")
