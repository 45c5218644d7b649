"""Routes for whoever watches the installation."""

import pytest

from gateway.control.build import build_control
from gateway.control.services import ControlServices
from gateway.metrics import Metrics
from gateway.operations.health import Part
from gateway.store.database import DatabaseUnavailableError
from sandbox.types import ManagerUnavailableError, Tier, TierStatus
from tests.support.control import World
from tests.support.factories import make_api
from tests.support.problems import assert_problem


async def test_200_health_needs_nothing(world: World) -> None:
    world.sandboxes.fails = ManagerUnavailableError("gone")
    async with world.client() as client:
        answer = await client.get("/health")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


async def test_200_ready_names_hardening_that_is_missing(world: World) -> None:
    world.sandboxes.missing = ("memory",)
    async with world.client() as client:
        answer = await client.get("/ready")
    assert answer.status_code == 200
    assert answer.json() == {
        "ready": True,
        "parts": {
            "database": {"ok": True, "reason": ""},
            "sandboxes": {"ok": True, "reason": "not enforced here: memory"},
        },
        "tiers": [],
    }


GVISOR = TierStatus(Tier.GVISOR, "docker", False, "the engine has no runtime runsc", ("runsc",))
RUNC = TierStatus(Tier.RUNC, "docker", True, "Docker Engine 20.10")


async def test_200_ready_and_stats_show_every_tier_and_why_one_is_missing(world: World) -> None:
    world.sandboxes.tiers = (GVISOR, RUNC)
    async with world.client(await world.person()) as client:
        answers = [(await client.get(path)).json() for path in ("/ready", "/api/stats")]
    for answer in answers:
        assert answer["tiers"] == [
            {
                "tier": "gvisor",
                "runtime": "docker",
                "is_available": False,
                "detail": "the engine has no runtime runsc",
                "missing": ["runsc"],
            },
            {
                "tier": "runc",
                "runtime": "docker",
                "is_available": True,
                "detail": "Docker Engine 20.10",
                "missing": [],
            },
        ]


async def test_503_ready_says_which_part_and_why(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object, **__: object) -> None:
        raise DatabaseUnavailableError

    world.sandboxes.fails = ManagerUnavailableError("gone")
    monkeypatch.setattr(world.database, "select", away)
    async with world.client() as client:
        answer = await client.get("/ready")
    parts = answer.json()["parts"]
    assert (answer.status_code, answer.json()["ready"]) == (503, False)
    assert parts["database"] == {"ok": False, "reason": "The database does not answer"}
    assert parts["sandboxes"] == {"ok": False, "reason": "the sandbox manager does not answer"}
    assert answer.headers["retry-after"] == "2"


async def test_503_engine_gone(world: World) -> None:
    world.sandboxes.engine_ok = False
    async with world.client() as client:
        answer = await client.get("/ready")
    assert answer.status_code == 503
    assert answer.json()["parts"]["sandboxes"] == {"ok": False, "reason": "engine gone"}


async def test_503_part_that_was_added_is_asked_too(world: World) -> None:
    async def full() -> Part:
        return Part(False, "disk full")

    control: ControlServices = world.app.state.control
    world.app = build_control(
        ControlServices(
            operations=control.operations,
            sessions=control.sessions,
            admin_key=control.admin_key,
            metrics=Metrics(),
            version="1",
            probes={"journal": full},
        )
    )
    async with world.client() as client:
        answer = await client.get("/ready")
    assert (answer.status_code, answer.json()["parts"]["journal"]["reason"]) == (503, "disk full")


async def test_200_metrics_count_requests_for_administrators(world: World) -> None:
    async with world.admin() as client:
        await client.get("/api/me")
        answer = await client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    assert 'sandgate_control_requests_total{method="GET",status_class="2xx"}' in answer.text


async def test_200_stats_show_people_their_own_sandboxes(world: World) -> None:
    person, stranger = await world.person(), await world.person()
    api = await make_api(world.database, person.tenant_id)
    async with world.admin() as client:
        await client.post(f"/api/apis/{api.id}/deployments", json={"version": 1})
        everything = (await client.get("/api/stats")).json()
    async with world.client(person) as client:
        own = (await client.get("/api/stats")).json()
    async with world.client(stranger) as client:
        nothing = (await client.get("/api/stats")).json()
    assert [box["api_id"] for box in everything["sandboxes"]] == [api.id]
    assert own["sandboxes"] == everything["sandboxes"]
    assert nothing["sandboxes"] == []
    assert (own["runtime"], own["version"], own["uptime_seconds"] >= 0) == ("fake", "0.0.1", True)


async def test_503_stats_without_manager(world: World) -> None:
    world.sandboxes.fails = ManagerUnavailableError("gone")
    async with world.client(await world.person()) as client:
        assert_problem(await client.get("/api/stats"), 503, "sandboxes_unavailable")


async def test_200_stats_tell_anybody_the_public_numbers_and_nothing_else(world: World) -> None:
    person = await world.person()
    api = await make_api(world.database, person.tenant_id)
    async with world.admin() as client:
        await client.post(f"/api/apis/{api.id}/deployments", json={"version": 1})
    async with world.client() as client:
        answer = await client.get("/api/stats")
    numbers = answer.json()
    assert answer.status_code == 200
    assert numbers.pop("uptime_seconds") >= 0
    assert numbers == {"version": "0.0.1", "apis_active": 1, "calls": {}}


async def test_401_stats_with_a_token_that_is_none(world: World) -> None:
    async with world.client() as client:
        answer = await client.get("/api/stats", headers={"Authorization": "Bearer nonsense"})
    assert_problem(answer, 401, "unauthorized")
