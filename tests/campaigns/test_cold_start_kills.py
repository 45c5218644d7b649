"""kill -9 of each process at each step of a cold start: afterwards it works and nothing is left.

The steps are held open by the code itself, so that each kill falls into the one it is meant
for: importing sleeps, start-up sleeps, the first call sleeps; before there is code, the engine
is caught while it launches.
"""

import asyncio
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress

import httpx
import psutil
import pytest

from gateway.cli.files import installation_id
from sandbox.client import ManagerClient
from sandbox.paths import RunPaths, runtime_dir
from sandbox.runtimes.identity import uid_of
from sandbox.types import SandboxError, SandboxStatus
from tests.campaigns.test_kills import nothing_left
from tests.journeys import apps
from tests.support.engines import require
from tests.support.installation import Installation, installation
from tests.support.private_engine import PrivateEngine, private_engine
from tests.support.waiting import until_blocking

pytestmark = [pytest.mark.campaign, pytest.mark.timeout(1800)]

SLOW = """
import asyncio
import contextlib
import time

from fastapi import FastAPI

time.sleep({importing})


@contextlib.asynccontextmanager
async def lifespan(app):
    await asyncio.sleep({starting})
    yield


app = FastAPI(lifespan=lifespan)


@app.get("/")
async def root():
    await asyncio.sleep({answering})
    return "answered"
"""
# step -> what the code takes its time for, and how the step is recognised from outside
STEPS: dict[str, dict[str, float]] = {
    "launching": {},
    "code loads": {"importing": 2.0},
    "app starts up": {"starting": 2.0},
    "first call": {"answering": 2.0},
}
VICTIMS = ("manager", "gateway", "runner", "child", "engine")


def code_for(step: str) -> str:
    pauses = {"importing": 0.0, "starting": 0.0, "answering": 0.0} | STEPS[step]
    return SLOW.format(**pauses)


def sandboxes_of(made: Installation, api_id: str) -> list[SandboxStatus]:
    """What the manager says of one API; nothing while it is away."""

    async def ask() -> list[SandboxStatus]:
        client = ManagerClient(RunPaths(runtime_dir(made.data_dir)).manager_socket)
        try:
            status = await client.status(seconds=1)
        except SandboxError:
            return []
        finally:
            await client.close()
        return [one for one in status.sandboxes if one.spec and one.spec.api_id == api_id]

    return asyncio.run(ask())


def reached(made: Installation, api_id: str, step: str) -> bool:
    """Whether the start has come to this step."""
    wanted = {"launching": "starting", "first call": "ready"}.get(step, "starting")
    found = [one for one in sandboxes_of(made, api_id) if one.status == wanted]
    return bool(found) and (step in ("launching", "first call") or bool(inside(found[0])))


def inside(sandbox: SandboxStatus) -> list[psutil.Process]:
    """Processes of a sandbox on this host, the oldest first."""
    uid = uid_of(sandbox.sandbox_id)
    found = [p for p in psutil.process_iter(["uids"]) if p.info["uids"].real == uid]
    return sorted(found, key=lambda process: process.pid)


def kill(made: Installation, api_id: str, victim: str, engine: PrivateEngine | None) -> None:
    """kill -9 of one of them."""
    if victim == "engine":
        assert engine is not None
        engine.kill()
        return
    if victim in ("manager", "gateway"):
        made.kill(victim)
        return
    for sandbox in sandboxes_of(made, api_id):
        processes = inside(sandbox)
        chosen = processes[:1] if victim == "runner" else processes[1:]
        for process in chosen:
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)


def stop_sandboxes(made: Installation, api_id: str) -> None:
    """So that the next call is a cold start."""
    with made.admin() as client:
        for status in ("paused", "active"):
            client.patch(f"/api/apis/{api_id}", json={"status": status}).raise_for_status()


def answers(made: Installation, api: dict[str, str]) -> Callable[[], bool]:
    """Whether a call is answered by now."""

    def called() -> bool:
        try:
            with made.client(Authorization=f"Bearer {api['api_key']}") as client:
                return client.get(f"/{api['id']}").status_code == 200
        except httpx.TransportError:
            return False

    return called


def one_kill(
    made: Installation, api: dict[str, str], step: str, victim: str, engine: PrivateEngine | None
) -> float:
    """Start cold, kill at the step, wait until calls are answered again; seconds that took."""
    stop_sandboxes(made, api["id"])

    async def call() -> None:
        headers = {"Authorization": f"Bearer {api['api_key']}"}
        async with httpx.AsyncClient(base_url=made.url, headers=headers, timeout=60) as client:
            with suppress(httpx.TransportError):
                await client.get(f"/{api['id']}")

    async def both() -> None:
        caller = asyncio.create_task(call())
        await asyncio.to_thread(until_blocking, lambda: reached(made, api["id"], step), 20)
        await asyncio.to_thread(kill, made, api["id"], victim, engine)
        if engine is not None and victim == "engine":
            await asyncio.to_thread(engine.start)
        await caller

    asyncio.run(both())
    begin = time.monotonic()
    until_blocking(answers(made, api), 60)
    return time.monotonic() - begin


def campaign(runtime: str, engine: PrivateEngine | None, **environment: str) -> None:
    """Every victim at every step in one installation; then everything is stopped."""
    # without blanks a start has to launch its sandbox first
    with installation(SANDBOX_RUNTIME=runtime, SANDBOX_BLANKS="0", **environment) as made:
        label, run_dir = installation_id(made.data_dir), runtime_dir(made.data_dir)
        for step in STEPS:
            api = made.deploy(step, code_for(step))
            made.lift_limits(api["tenant_id"])
            for victim in VICTIMS:
                if (victim == "engine") == (engine is None) and victim == "engine":
                    continue
                if step == "launching" and victim in ("runner", "child"):
                    continue  # there is none yet
                seconds = one_kill(made, api, step, victim, engine)
                print(f"{runtime}: {victim} killed while {step}: {seconds:.2f} s", flush=True)
        made.deploy("after all", apps.USER_APP)
        made.stop()
        nothing_left(made, label, run_dir)


def test_every_step_on_bubblewrap() -> None:
    require("bubblewrap")
    campaign("bubblewrap", None)


def test_every_step_on_an_engine_that_is_killed_too() -> None:
    with private_engine() as engine:
        campaign("docker", engine, DOCKER_HOST=engine.address)
        assert engine.containers() == []
