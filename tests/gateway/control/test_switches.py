"""Kill switches: what is stopped is stopped, told, shown, and goes on as it was."""

import asyncio
from contextlib import suppress
from functools import partial
from typing import Any
from uuid import uuid4

import pytest

from gateway.metrics import Metrics
from gateway.operations import switch_follower, switches
from gateway.operations.switch_follower import SwitchFollower
from gateway.operations.switches import StoppedError, Switch
from gateway.store.database import SERVICE, DatabaseError, Filter
from sandbox.types import ManagerUnavailableError
from tests.support.control import World
from tests.support.factories import Person, make_api
from tests.support.problems import assert_problem
from tests.support.sandboxes import GOOD
from tests.support.waiting import until

HOSTS = {"hosts": ["api.example.com"]}


class Source:
    """News that a test makes."""

    def __init__(self) -> None:
        self.callbacks: list[Any] = []

    def subscribe(self, callback: Any, /) -> object:
        self.callbacks.append(callback)
        return None

    def tell(self, kind: str) -> None:
        for callback in self.callbacks:
            callback(kind, "")


async def put(world: World, switch: str, stopped: bool, **more: str) -> list[dict[str, Any]]:
    body = {"stopped": stopped, "reason": "an incident", **more}
    async with world.admin() as client:
        answer = await client.put(f"/api/admin/switches/{switch}", json=body)
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


async def running(world: World, person: Person, name: str = "x") -> str:
    async with world.client(person) as client:
        answer = await client.post("/api/apis", json={"name": name, "code": GOOD, "egress": HOSTS})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def told(world: World, api_id: str) -> tuple[str, ...] | None:
    """The hosts that the manager was told last."""
    policy = world.sandboxes.policies.get(api_id)
    return None if policy is None else policy.hosts


async def test_egress_of_all_is_closed_for_what_lives_and_what_starts(world: World) -> None:
    person = await world.person()
    api_id = await running(world, person)
    items = await put(world, "egress", stopped=True)
    assert [(i["switch"], i["api_id"], i["reason"]) for i in items] == [
        ("egress", None, "an incident")
    ]
    assert told(world, api_id) == ()
    assert ("switches", "egress") in world.changes.published
    other = await running(world, person, "y")
    (spec,) = world.sandboxes.of(other)
    assert world.sandboxes.bundles[spec].egress.hosts == ()
    async with world.client(person) as client:
        changed = await client.patch(f"/api/apis/{api_id}", json={"egress": HOSTS})
    assert changed.json()["egress"] == HOSTS  # what its owner wants is kept
    assert told(world, api_id) == ()
    assert await put(world, "egress", stopped=False) == []
    assert (told(world, api_id), told(world, other)) == (("api.example.com",),) * 2


async def test_egress_of_one_leaves_others_alone(world: World) -> None:
    person = await world.person()
    one, other = await running(world, person), await running(world, person, "y")
    await put(world, "egress", stopped=True, api_id=one)
    assert (told(world, one), told(world, other)) == ((), None)
    bundle = await world.bundles.egress(other)
    assert bundle is not None
    assert bundle.hosts == ("api.example.com",)
    await put(world, "egress", stopped=False, api_id=one)
    assert told(world, one) == ("api.example.com",)


async def test_one_api_is_suspended_and_goes_on_as_what_it_was(world: World) -> None:
    person = await world.person()
    for was in ("active", "paused"):
        api_id = await running(world, person, was)
        async with world.client(person) as client:
            await client.patch(f"/api/apis/{api_id}", json={"status": was})
            (item,) = await put(world, "api", stopped=True, api_id=api_id)
            assert item["api_id"] == api_id
            assert world.sandboxes.of(api_id) == []
            stopped = (await client.get(f"/api/apis/{api_id}")).json()
            assert stopped["status"] == "suspended"
            await put(world, "api", stopped=True, api_id=api_id)  # twice is once
            assert_problem(
                await client.post(f"/api/apis/{api_id}/versions", json={"code": GOOD}),
                409,
                "api_suspended",
            )
            async with world.admin() as admin:
                resumed = await admin.patch(f"/api/apis/{api_id}", json={"status": "active"})
            assert_problem(resumed, 409, "api_suspended")
            again = await client.post(f"/api/apis/{api_id}/deployments", json={"version": 1})
            assert_problem(again, 409, "api_suspended")
            assert world.sandboxes.of(api_id) == []
            assert await put(world, "api", stopped=False, api_id=api_id) == []
            assert (await client.get(f"/api/apis/{api_id}")).json()["status"] == was
    assert ("api", api_id) in world.changes.published


async def test_what_is_deleted_is_not_stopped_any_more(world: World) -> None:
    person = await world.person()
    api = await make_api(world.database, person.tenant_id)
    for switch in ("api", "egress"):
        await put(world, switch, stopped=True, api_id=api.id)
    async with world.admin() as client:
        await client.delete(f"/api/apis/{api.id}")
        assert (await client.get("/api/admin/switches")).json() == {"items": []}


async def test_publishing_and_generation(world: World) -> None:
    api = await make_api(world.database, (await world.person()).tenant_id)
    where = [Filter("id", "eq", api.id)]

    async def publish() -> None:
        values = {"is_published": True}
        await world.database.update("apis", values, where=where, identity=SERVICE)

    for switch in (Switch.PUBLISHING, Switch.GENERATION):
        await switches.require(world.services, switch)
        await put(world, switch, stopped=True)
        with pytest.raises(StoppedError) as stopped:
            await switches.require(world.services, switch)
        assert "an incident" in stopped.value.detail
    with pytest.raises(DatabaseError) as caught:
        await publish()
    assert (caught.value.status, caught.value.code) == (503, "stopped")
    await put(world, "publishing", stopped=False)
    await publish()


async def test_refusals(world: World) -> None:
    api = await make_api(world.database, (await world.person()).tenant_id)
    cases: list[tuple[str, dict[str, object], int, str]] = [
        ("api", {}, 422, "invalid_switch"),
        ("generation", {"api_id": api.id}, 422, "invalid_switch"),
        ("publishing", {"api_id": api.id}, 422, "invalid_switch"),
        ("egress", {"api_id": str(uuid4())}, 404, "api_not_found"),
        ("egress", {"api_id": "no such api!"}, 404, "api_not_found"),
        ("egress", {"reason": " "}, 422, "invalid_reason"),
        ("egress", {"stopped": "yes"}, 422, "invalid_input"),
        ("everything", {}, 422, "invalid_input"),
    ]
    async with world.admin() as client:
        for switch, more, status, code in cases:
            body = {"stopped": True, "reason": "an incident", **more}
            answer = await client.put(f"/api/admin/switches/{switch}", json=body)
            assert_problem(answer, status, code)
        assert (await client.get("/api/admin/switches")).json() == {"items": []}


class TestFollower:
    """A gateway that did not stop it itself."""

    async def test_it_hears_of_a_stop_and_of_its_end(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(switch_follower, "REFRESH_SECONDS", 3600)
        monkeypatch.setattr(switch_follower, "STOPPED_SECONDS", 3600)
        api_id = await running(world, await world.person())
        source, metrics = Source(), Metrics()
        follower = SwitchFollower(world.services, source)
        metrics.follow_switches(follower.counts)
        task = asyncio.create_task(follower.run())

        def is_told(hosts: tuple[str, ...]) -> bool:
            return told(world, api_id) == hosts

        for stopped, hosts in ((True, ()), (False, ("api.example.com",))):
            await world.database.rpc(
                "set_switch",
                {"p_name": "egress", "p_stopped": stopped, "p_reason": "x", "p_actor": None},
                identity=SERVICE,
            )
            source.tell("switches")
            await until(partial(is_told, hosts))
            shown = (await follower.part()).reason
            assert shown == ("stopped by an administrator: egress" if stopped else "")
            line = f'sandgate_switches_stopped{{switch="egress"}} {float(stopped)}'
            assert line in metrics.render().decode()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    async def test_what_could_not_be_told_is_told_later(self, world: World) -> None:
        api_id = await running(world, await world.person())
        follower = SwitchFollower(world.services, Source())
        await put(world, "egress", stopped=True, api_id=api_id)
        world.sandboxes.policies.clear()
        world.sandboxes.fails = ManagerUnavailableError("gone")
        await follower.look()
        world.sandboxes.fails = None
        await follower.look()
        assert told(world, api_id) == ()
        assert follower.counts()["api_egress"] == 1
        assert api_id not in (await follower.part()).reason
