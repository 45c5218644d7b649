"""Trials of candidates: in sandboxes of nobody, which are gone afterwards."""

import asyncio

import pytest

from gateway.operations import stage
from gateway.operations.stage import PlatformStage
from gateway.store.database import SERVICE
from gateway.store.staged_kv import is_stage
from generator.contract import Contract
from generator.stage import StageUnavailableError, StartFailed
from sandbox.types import (
    AppDocument,
    CapacityError,
    CrashLoopError,
    EndReason,
    LogLine,
    SandboxError,
    StartFailedError,
    StartFailure,
)
from tests.support.control import World
from tests.support.sandboxes import GOOD
from tests.support.templates import CLOCK

TENANT = "5f0c1d52-8b0e-4c41-9d6c-0a0000000001"


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage, "_PAUSE_SECONDS", 0)


def with_hosts(*hosts: str) -> Contract:
    return CLOCK.contract.model_copy(update={"outbound_hosts": hosts})


async def test_a_candidate_runs_under_an_id_of_nobody_and_goes(world: World) -> None:
    sandboxes = world.sandboxes
    sandboxes.document_said = AppDocument("{}")
    async with PlatformStage(world.services, TENANT).running(GOOD, CLOCK.contract) as running:
        (spec,) = sandboxes.running
        assert (is_stage(spec.api_id), spec.tenant_id) == (True, TENANT)
        sandboxes.lines[spec.api_id] = [LogLine(0, "stdout", "hello \udc80")]
        assert running.socket_path.startswith("/nowhere/")
        assert (await running.document(), await running.log()) == ("{}", ["hello ?"])
        assert sandboxes.bundles[spec].egress.hosts == ()
        assert sandboxes.bundles[spec].environment == {}
    assert sandboxes.running == {}


async def test_it_reaches_the_hosts_of_its_contract_alone(world: World) -> None:
    running = PlatformStage(world.services, TENANT).running(GOOD, with_hosts("api.example.com"))
    async with running:
        (bundle,) = world.sandboxes.bundles.values()
    assert bundle.egress.hosts == ("api.example.com",)


async def test_it_reaches_nothing_while_egress_is_stopped(world: World) -> None:
    stop = {"p_name": "egress", "p_stopped": True, "p_reason": "an attack"}
    await world.database.rpc("set_switch", stop, identity=SERVICE)
    running = PlatformStage(world.services, TENANT).running(GOOD, with_hosts("api.example.com"))
    async with running:
        (bundle,) = world.sandboxes.bundles.values()
    assert bundle.egress.hosts == ()


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (StartFailedError(StartFailure.SYNTAX, "no", line=3, log="a log"), "syntax_error"),
        (
            CrashLoopError("no", end=EndReason.CRASH, crashes=3, retry_seconds=1),
            "exited",
        ),
    ],
    ids=["start", "crash loop"],
)
async def test_what_does_not_start_is_told_as_the_codes_fault(
    world: World, error: SandboxError, kind: str
) -> None:
    world.sandboxes.fails = error
    with pytest.raises(StartFailed) as failed:
        async with PlatformStage(world.services, TENANT).running(GOOD, CLOCK.contract):
            pass
    assert failed.value.kind == kind


async def test_a_host_that_is_none_is_the_codes_fault(world: World) -> None:
    with pytest.raises(StartFailed):
        async with PlatformStage(world.services, TENANT).running(GOOD, with_hosts("10.0.0.1")):
            pass
    assert world.sandboxes.acquired == []


async def test_a_machine_without_room_is_nobodys_fault(world: World) -> None:
    world.sandboxes.fails = CapacityError()
    with pytest.raises(StageUnavailableError):
        async with PlatformStage(world.services, TENANT).running(GOOD, CLOCK.contract):
            pass


async def test_cancelled_while_it_starts_nothing_is_left(world: World) -> None:
    world.sandboxes.gate.clear()

    async def trial() -> None:
        async with PlatformStage(world.services, TENANT).running(GOOD, CLOCK.contract):
            pass

    task = asyncio.create_task(trial())
    await world.sandboxes.starting.wait()
    task.cancel()
    world.sandboxes.gate.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert world.sandboxes.running == {}
