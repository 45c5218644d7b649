"""Egress, tier, instances and resources of an API: asked for, refused, switched, told."""

import asyncio
from typing import Any

import pytest

from gateway.store.database import SERVICE
from sandbox.types import (
    CrashLoopError,
    DependencyError,
    EgressPolicy,
    EndReason,
    ManagerUnavailableError,
    SandboxError,
    SandboxStatus,
    StartFailedError,
    StartFailure,
    Tier,
    TierStatus,
    TierUnavailableError,
)
from tests.support.control import World
from tests.support.factories import Person, add_member, make_tenant
from tests.support.problems import assert_problem
from tests.support.sandboxes import GOOD
from tests.support.waiting import until

RUNC = TierStatus(Tier.RUNC, "docker", True, "")
GVISOR = TierStatus(Tier.GVISOR, "docker", False, "no runsc")
DEFAULT_INSTANCES = {"min": 0, "max": 1, "concurrency": 100}


async def created(world: World, person: Person, **more: Any) -> dict[str, Any]:
    async with world.client(person) as client:
        answer = await client.post("/api/apis", json={"name": "x", "code": GOOD, **more})
    assert answer.status_code == 201, answer.text
    world.changes.published.clear()
    value: dict[str, Any] = answer.json()
    return value


async def route_of(world: World, api_id: str) -> dict[str, Any]:
    route: dict[str, Any] = await world.database.rpc(
        "gateway_route", {"p_ref": api_id}, identity=SERVICE
    )
    return route


class TestCreate:
    async def test_201_nothing_is_allowed_unless_asked_for(self, world: World) -> None:
        made = await created(world, await world.person())
        assert (made["egress"], made["tier"]) == ({"hosts": []}, None)
        assert (made["instances"], made["packages"]) == (DEFAULT_INSTANCES, [])

    async def test_201_what_was_asked_for_is_what_runs(self, world: World) -> None:
        world.sandboxes.tiers = (GVISOR, RUNC)
        person = await world.person()
        made = await created(
            world,
            person,
            egress={"hosts": ["API.example.com", "*.example.org:8443", "api.example.com"]},
            tier="bwrap",
            instances={"max": 3},
        )
        hosts = ["api.example.com", "*.example.org:8443"]
        assert (made["egress"], made["tier"]) == ({"hosts": hosts}, "bwrap")
        assert made["instances"] == {**DEFAULT_INSTANCES, "max": 3}
        (spec,) = world.sandboxes.of(made["id"])
        assert (spec.floor, spec.tenant_id) == (Tier.BWRAP, person.tenant_id)
        assert world.sandboxes.bundles[spec].egress == EgressPolicy(tuple(hosts))

    async def test_201_spec_is_the_one_that_calls_use(self, world: World) -> None:
        world.sandboxes.tiers = (RUNC,)
        made = await created(world, await world.person(), tier="runc")
        route = await route_of(world, made["id"])
        (spec,) = world.sandboxes.of(made["id"])
        assert (spec.floor, spec.tenant_id) == (route["tier"], route["tenant_id"])
        assert spec.layer == route["versions"][0]["layer"]

    async def test_422_tier_that_this_machine_does_not_have(self, world: World) -> None:
        world.sandboxes.tiers = (GVISOR, RUNC)
        async with world.client(await world.person()) as client:
            for tier in ("gvisor", "vm"):
                body = {"name": "x", "code": GOOD, "tier": tier}
                answer = await client.post("/api/apis", json=body)
                problem = assert_problem(answer, 422, "tier_unavailable")
                assert problem["detail"] == f"{tier} was asked for; available here: runc"
        assert world.sandboxes.acquired == []

    @pytest.mark.parametrize(
        ("body", "code"),
        [
            ({"egress": {"hosts": ["*.com"]}}, "invalid_egress"),
            ({"egress": {"hosts": ["10.0.0.1"]}}, "invalid_egress"),
            ({"egress": {"hosts": ["'; drop table apis; --"]}}, "invalid_egress"),
            ({"egress": {"hosts": [f"h{n}.example.com" for n in range(101)]}}, "invalid_input"),
            ({"egress": {"hosts": ["a" * 1025]}}, "invalid_input"),
            ({"egress": {"hosts": [1]}}, "invalid_input"),
            ({"egress": {}}, "invalid_input"),
            ({"egress": []}, "invalid_input"),
            ({"egress": {"hosts": [], "ports": []}}, "invalid_input"),
            ({"tier": "none"}, "invalid_input"),
            ({"tier": "RUNC"}, "invalid_input"),
            ({"tier": 1}, "invalid_input"),
            ({"instances": {"min": 2}}, "invalid_instances"),
            ({"instances": {"min": 3, "max": 2}}, "invalid_instances"),
            ({"instances": {"max": 0}}, "invalid_input"),
            ({"instances": {"max": 11}}, "invalid_input"),
            ({"instances": {"concurrency": 0}}, "invalid_input"),
            ({"instances": {"concurrency": 1001}}, "invalid_input"),
            ({"instances": {"min": 0.5}}, "invalid_input"),
            ({"instances": {"minimum": 1}}, "invalid_input"),
        ],
    )
    async def test_422_values_that_are_not_acceptable(
        self, world: World, body: dict[str, Any], code: str
    ) -> None:
        async with world.client(await world.person()) as client:
            answer = await client.post("/api/apis", json={"name": "x", "code": GOOD, **body})
        assert_problem(answer, 422, code)
        assert world.sandboxes.acquired == []

    @pytest.mark.parametrize(
        ("error", "code", "retry"),
        [
            (TierUnavailableError("only bwrap here"), "tier_unavailable", None),
            (DependencyError("no numpy==9", detail="log"), "dependencies_unavailable", None),
            (
                CrashLoopError("out of memory", end=EndReason.MEMORY, crashes=5, retry_seconds=9.2),
                "api_crash_loop",
                "10",
            ),
        ],
    )  # fmt: skip
    async def test_422_the_manager_says_why_not(
        self, world: World, error: SandboxError, code: str, retry: str | None
    ) -> None:
        person = await world.person()
        world.sandboxes.fails = error
        async with world.client(person) as client:
            answer = await client.post("/api/apis", json={"name": "x", "code": GOOD})
        problem = assert_problem(answer, 422, code)
        assert str(error).split()[0] in problem["detail"]
        assert answer.headers.get("retry-after") == retry


class TestEgress:
    async def test_200_living_sandboxes_are_told_and_go_on(self, world: World) -> None:
        person = await world.person()
        made = await created(world, person)
        async with world.client(person) as client:
            body = {"egress": {"hosts": ["API.example.com"]}}
            changed = (await client.patch(f"/api/apis/{made['id']}", json=body)).json()
        assert changed["egress"] == {"hosts": ["api.example.com"]}
        assert world.sandboxes.policies == {made["id"]: EgressPolicy(("api.example.com",))}
        assert changed["generation"] == 1
        assert world.changes.published == [("api", made["id"])]

    async def test_200_sandboxes_that_cannot_be_told_are_replaced(self, world: World) -> None:
        person = await world.person()
        made = await created(world, person, egress={"hosts": ["api.example.com"]})
        world.sandboxes.fails = ManagerUnavailableError("gone")
        async with world.client(person) as client:
            answer = await client.patch(f"/api/apis/{made['id']}", json={"egress": {"hosts": []}})
        assert (answer.status_code, answer.json()["generation"]) == (200, 2)

    async def test_two_changes_at_once_end_with_what_is_stored(self, world: World) -> None:
        person = await world.person()
        made = await created(world, person)
        path = f"/api/apis/{made['id']}"
        async with world.client(person) as client:
            await asyncio.gather(
                *(
                    client.patch(path, json={"egress": {"hosts": [f"h{n}.example.com"]}})
                    for n in range(8)
                )
            )
            stored = (await client.get(path)).json()["egress"]["hosts"]
        assert list(world.sandboxes.policies[made["id"]].hosts) == stored

    async def test_client_that_leaves_leaves_no_door_open(self, world: World) -> None:
        person = await world.person()
        made = await created(world, person, egress={"hosts": ["api.example.com"]})
        world.sandboxes.egress_gate.clear()
        async with world.client(person) as client:
            task = asyncio.create_task(
                client.patch(f"/api/apis/{made['id']}", json={"egress": {"hosts": []}})
            )
            await until(lambda: bool(world.changes.published))
            task.cancel()
            world.sandboxes.egress_gate.set()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert world.sandboxes.policies == {made["id"]: EgressPolicy()}

    async def test_422_a_host_that_a_placeholder_needs(self, world: World) -> None:
        person = await world.person()
        made = await created(world, person, egress={"hosts": ["api.example.com"]})
        async with world.client(person) as client:
            path = f"/api/apis/{made['id']}"
            body = {"value": "v", "hosts": ["api.example.com"]}
            assert (await client.put(f"{path}/secrets/TOKEN", json=body)).status_code == 200
            world.sandboxes.policies.clear()
            answer = await client.patch(path, json={"egress": {"hosts": []}})
        assert_problem(answer, 422, "secret_host_not_allowed")
        assert world.sandboxes.policies == {}


class TestSwitch:
    @pytest.mark.parametrize(
        "body", [{"tier": "runc"}, {"resources": {"memory_mb": 512}}, {"resources": {"cpus": 2.0}}]
    )
    async def test_200_fresh_sandbox_is_up_before_the_change_is_stored(
        self, world: World, body: dict[str, Any]
    ) -> None:
        world.sandboxes.tiers = (RUNC,)
        person = await world.person()
        made = await created(world, person)
        world.sandboxes.gate.clear()
        async with world.client(person) as client:
            task = asyncio.create_task(client.patch(f"/api/apis/{made['id']}", json=body))
            await until(lambda: len(world.sandboxes.acquired) == 2)
            assert (await route_of(world, made["id"]))["generation"] == 1
            world.sandboxes.gate.set()
            changed = (await task).json()
        assert changed["generation"] == 2
        fresh = max(world.sandboxes.of(made["id"]), key=lambda spec: spec.generation)
        assert fresh.generation == 2
        assert (fresh.floor, fresh.resources.memory_mb) == (
            changed["tier"],
            changed["resources"]["memory_mb"],
        )
        assert world.changes.published == [("api", made["id"])]

    @pytest.mark.parametrize(
        "body",
        [
            {"tier": None},
            {"resources": {}},
            {"instances": {"min": 1, "max": 2}},
            {"name": "y", "resources": {}},
        ],
    )
    async def test_200_what_needs_no_other_sandbox_starts_none(
        self, world: World, body: dict[str, Any]
    ) -> None:
        person = await world.person()
        made = await created(world, person)
        async with world.client(person) as client:
            changed = (await client.patch(f"/api/apis/{made['id']}", json=body)).json()
        assert (changed["generation"], len(world.sandboxes.acquired)) == (1, 1)

    async def test_200_tier_is_taken_back_by_null_and_kept_by_absence(self, world: World) -> None:
        world.sandboxes.tiers = (RUNC,)
        person = await world.person()
        made = await created(world, person, tier="runc")
        async with world.client(person) as client:
            path = f"/api/apis/{made['id']}"
            assert (await client.patch(path, json={"name": "y"})).json()["tier"] == "runc"
            assert (await client.patch(path, json={"tier": None})).json()["tier"] is None

    async def test_422_code_that_does_not_start_like_that_changes_nothing(
        self, world: World
    ) -> None:
        person = await world.person()
        made = await created(world, person)
        before = dict(world.sandboxes.running)
        world.sandboxes.start_fails = StartFailedError(StartFailure.MEMORY, "out of memory")
        async with world.client(person) as client:
            body = {"name": "y", "resources": {"memory_mb": 64}}
            answer = await client.patch(f"/api/apis/{made['id']}", json=body)
            api = (await client.get(f"/api/apis/{made['id']}")).json()
        assert_problem(answer, 422, "api_start_failed")
        assert (api["name"], api["generation"]) == ("x", 1)
        assert api["resources"]["memory_mb"] == made["resources"]["memory_mb"]
        assert world.sandboxes.running == before

    async def test_409_name_taken_leaves_no_sandbox_behind(self, world: World) -> None:
        person = await world.person()
        await created(world, person)
        made = await created(world, person, name="y")
        async with world.client(person) as client:
            body = {"name": "x", "resources": {"memory_mb": 64}}
            answer = await client.patch(f"/api/apis/{made['id']}", json=body)
        assert_problem(answer, 409, "name_taken")
        assert [spec.generation for spec in world.sandboxes.of(made["id"])] == [1]

    async def test_422_tier_that_this_machine_does_not_have(self, world: World) -> None:
        world.sandboxes.tiers = (GVISOR, RUNC)
        person = await world.person()
        made = await created(world, person)
        async with world.client(person) as client:
            answer = await client.patch(f"/api/apis/{made['id']}", json={"tier": "gvisor"})
        assert_problem(answer, 422, "tier_unavailable")
        assert len(world.sandboxes.acquired) == 1

    async def test_200_paused_api_is_switched_without_a_sandbox(self, world: World) -> None:
        person = await world.person()
        made = await created(world, person)
        async with world.client(person) as client:
            path = f"/api/apis/{made['id']}"
            await client.patch(path, json={"status": "paused"})
            changed = (await client.patch(path, json={"resources": {"memory_mb": 64}})).json()
        assert (changed["generation"], world.sandboxes.of(made["id"])) == (2, [])

    async def test_switch_and_reload_at_once_end_at_one_generation(self, world: World) -> None:
        person = await world.person()
        made = await created(world, person)
        async with world.client(person) as client, world.admin() as admin:
            body = {"resources": {"memory_mb": 64}}
            switched, reloaded = await asyncio.gather(
                client.patch(f"/api/apis/{made['id']}", json=body),
                admin.post(f"/admin/reload/{made['id']}"),
            )
        assert (switched.status_code, reloaded.status_code) == (200, 200)
        route = await route_of(world, made["id"])
        newest = max(world.sandboxes.of(made["id"]), key=lambda spec: spec.generation)
        assert newest.generation == route["generation"]
        assert newest.resources.memory_mb == route["resources"]["memory_mb"] == 64


class TestSandboxes:
    async def test_200_living_ones_first_then_why_the_others_ended(self, world: World) -> None:
        person = await world.person()
        made = await created(world, person)
        (spec,) = world.sandboxes.of(made["id"])
        world.sandboxes.ended = [
            SandboxStatus(
                "gone", spec, "ended", 5.0, Tier.RUNC, None, EndReason.MEMORY, "out of \udc80"
            ),
            SandboxStatus("blank", None, "blank", 5.0),
        ]
        async with world.client(person) as client:
            answer = await client.get(f"/api/apis/{made['id']}/sandboxes")
        living, ended = answer.json()["items"]
        assert (living["status"], living["version"], living["memory_bytes"]) == ("ready", 1, 1000)
        assert (living["end"], living["reason"]) == (None, "")
        assert (ended["id"], ended["tier"], ended["end"]) == ("gone", "runc", "memory")
        assert (ended["reason"], ended["instance"], ended["generation"]) == ("out of ?", 0, 1)

    async def test_200_of_this_api_alone(self, world: World) -> None:
        person, stranger = await world.person(), await world.person()
        made, theirs = await created(world, person), await created(world, stranger)
        (foreign,) = world.sandboxes.of(theirs["id"])
        world.sandboxes.ended = [SandboxStatus("theirs", foreign, "ended", 1.0)]
        async with world.client(person) as client:
            items = (await client.get(f"/api/apis/{made['id']}/sandboxes")).json()["items"]
        assert "theirs" not in {item["id"] for item in items}
        assert len(items) == 1

    async def test_refusals(self, world: World) -> None:
        owner, viewer, stranger = [await world.person() for _ in range(3)]
        team = await make_tenant(world.database, owner)
        await add_member(world.database, team, viewer.id, "viewer")
        made = await created(world, owner, tenant_id=team)
        path = f"/api/apis/{made['id']}/sandboxes"
        async with world.client(viewer) as client:
            assert_problem(await client.get(path), 403, "forbidden")
        async with world.client(stranger) as client:
            assert_problem(await client.get(path), 404, "api_not_found")
        async with world.client() as client:
            assert_problem(await client.get(path), 401, "unauthorized")
        world.sandboxes.fails = ManagerUnavailableError("gone")
        async with world.client(owner) as client:
            assert_problem(await client.get(path), 503, "sandboxes_unavailable")
