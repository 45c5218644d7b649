"""Freezing, limits that change, layers and memory: what every runtime promises beside its life."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from sandbox.runtimes.base import Runtime, RuntimeUnavailableError
from sandbox.runtimes.bubblewrap import BubblewrapHandle
from sandbox.runtimes.cgroup import group_of
from sandbox.runtimes.cgroup_find import find_groups
from sandbox.types import EndReason, Resources
from tests.support import residue
from tests.support.blanks import Blank, launched
from tests.support.runtimes import EVERY, prepared
from tests.support.waiting import until

HELLO = """
from fastapi import FastAPI
app = FastAPI()
@app.get("/")
def hello(): return {"hello": "world"}
"""
FROM_LAYER = """
import os, sys
from pathlib import Path
from fastapi import FastAPI
import in_the_layer
app = FastAPI()
def refused(action):
    try:
        action()
    except OSError:
        return True
    return False
@app.get("/")
def look():
    flags = next(l.split()[3] for l in Path("/proc/self/mounts").read_text().splitlines()
                 if l.split()[1] == "/layer")
    return {
        "value": in_the_layer.VALUE,
        "flags": flags,
        "write": refused(lambda: Path("/layer/new").write_text("x")),
        "change": refused(lambda: Path("/layer/in_the_layer.py").write_text("x")),
    }
"""
GROWING = """
from fastapi import FastAPI
app = FastAPI()
kept = []
@app.get("/")
def grow():
    kept.append(bytearray(b"x" * 30_000_000))
    return len(kept)
"""
MB = 1024 * 1024
SMALL, LARGE = Resources(memory_mb=128, pids=64), Resources(memory_mb=384, cpus=0.5, pids=96)

real_only = pytest.mark.parametrize("name", EVERY, indirect=True)


async def test_frozen_it_answers_nothing_and_thawed_it_goes_on(
    runtime: Runtime, folder: Path, installation: str
) -> None:
    assert runtime.can_freeze
    async with launched(runtime, folder, installation) as blank:
        assert (await blank.specialise(HELLO))["type"] == "ready"
        await blank.handle.freeze()
        call = asyncio.create_task(blank.get())
        done, _ = await asyncio.wait({call}, timeout=0.3)
        assert not done
        await blank.handle.thaw()
        assert (await call).status == 200


async def test_freezing_and_thawing_twice_is_fine(
    runtime: Runtime, folder: Path, installation: str
) -> None:
    async with launched(runtime, folder, installation) as blank:
        await blank.handle.thaw()
        await blank.handle.freeze()
        await blank.handle.freeze()
        await blank.handle.thaw()
        await blank.handle.thaw()
        assert (await blank.specialise(HELLO))["type"] == "ready"


async def test_a_frozen_one_is_destroyed_like_any_other(
    runtime: Runtime, folder: Path, installation: str
) -> None:
    async with launched(runtime, folder, installation) as blank:
        await blank.specialise(HELLO)
        await blank.handle.freeze()
        await asyncio.wait_for(blank.handle.destroy(), 15)
        await asyncio.wait_for(blank.handle.wait(), 5)
    assert await runtime.find(installation) == []
    assert residue.containers(installation) == []
    assert residue.cgroups(installation) == []


async def test_a_frozen_one_lives_and_another_manager_can_remove_it(
    name: str, runtime: Runtime, folder: Path, installation: str
) -> None:
    async with (
        prepared(name, installation) as other,
        launched(runtime, folder, installation) as blank,
    ):
        await blank.handle.freeze()
        [found] = await other.find(installation)
        assert found.alive
        await asyncio.wait_for(other.remove(found), 15)
        await asyncio.wait_for(blank.handle.wait(), 10)
        assert await runtime.find(installation) == []


async def test_one_that_is_adopted_has_been_thawed(
    name: str, runtime: Runtime, folder: Path, installation: str
) -> None:
    async with (
        launched(runtime, folder, installation) as blank,
        prepared(name, installation) as later,
    ):
        await blank.handle.freeze()
        [found] = await later.find(installation)
        if await later.adopt(found) is None:
            assert name == "bubblewrap"
            return
        assert (await blank.specialise(HELLO))["type"] == "ready"


async def test_what_is_gone_can_be_neither_frozen_nor_thawed(
    runtime: Runtime, folder: Path, installation: str
) -> None:
    async with launched(runtime, folder, installation) as blank:
        await blank.handle.destroy()
        for action in (blank.handle.freeze, blank.handle.thaw):
            with pytest.raises(RuntimeUnavailableError):
                await action()


async def test_memory_in_use_is_known(runtime: Runtime, folder: Path, installation: str) -> None:
    async with launched(runtime, folder, installation) as blank:
        used = await blank.handle.memory_bytes()
        assert used is not None
        assert 5 * MB < used < 256 * MB


@real_only
async def test_a_blank_that_was_made_larger_may_use_more(
    runtime: Runtime, folder: Path, installation: str
) -> None:
    async with launched(runtime, folder, installation, SMALL) as blank:
        await blank.handle.resize(LARGE)
        await blank.specialise(GROWING)
        for count in range(1, 6):
            assert (await blank.get()).json() == count
        assert await blank.handle.end_reason() is None


@real_only
async def test_a_blank_that_was_made_smaller_is_held_to_it(
    runtime: Runtime, folder: Path, installation: str
) -> None:
    async with launched(runtime, folder, installation, LARGE) as blank:
        await blank.handle.resize(SMALL)
        await blank.specialise(GROWING)
        with pytest.raises((OSError, EOFError)):
            await call_often(blank)
        assert await blank.handle.end_reason() is EndReason.MEMORY


async def call_often(blank: Blank) -> None:
    for _ in range(20):
        await blank.get()


async def test_resizing_what_is_gone_is_refused(
    runtime: Runtime, folder: Path, installation: str
) -> None:
    async with launched(runtime, folder, installation) as blank:
        await blank.handle.destroy()
        with pytest.raises(RuntimeUnavailableError):
            await blank.handle.resize(LARGE)


@real_only
async def test_a_layer_can_be_imported_and_not_be_changed(
    name: str, runtime: Runtime, folder: Path, installation: str
) -> None:
    layer = folder / "layer"
    layer.mkdir()
    (layer / "in_the_layer.py").write_text("VALUE = 42\n")
    async with launched(runtime, folder, installation, layer=layer) as blank:
        ready = await blank.specialise(FROM_LAYER)
        assert ready["type"] == "ready", ready
        seen = (await blank.get()).json()
    assert (seen["value"], seen["write"], seen["change"]) == (42, True, True)
    assert "ro" in seen["flags"].split(",")
    if name == "bubblewrap":
        assert {"nosuid", "nodev"} <= set(seen["flags"].split(","))


@real_only
async def test_the_supervisor_is_the_first_process(
    runtime: Runtime, folder: Path, installation: str
) -> None:
    code = HELLO.replace('{"hello": "world"}', "__import__('os').getppid()")
    async with launched(runtime, folder, installation) as blank:
        await blank.specialise(code)
        assert (await blank.get()).json() == 1


@pytest.mark.bubblewrap
async def test_bubblewraps_own_process_ends_with_the_sandbox(
    folder: Path, installation: str
) -> None:
    async with (
        prepared("bubblewrap", installation) as runtime,
        launched(runtime, folder, installation) as blank,
    ):
        assert isinstance(blank.handle, BubblewrapHandle)
        outside = blank.handle.pid
        group = group_of(find_groups(), installation, blank.handle.sandbox_id)
        for pid in group.pids():
            os.kill(pid, signal.SIGKILL)
        await asyncio.wait_for(blank.handle.wait(), 10)
        assert not Path(f"/proc/{outside}").exists()


@pytest.mark.bubblewrap
@pytest.mark.parametrize("code", ["", HELLO])
async def test_no_bubblewrap_sandbox_outlives_its_manager(
    folder: Path, installation: str, code: str
) -> None:
    """Nobody could take it over, so it does not wait for somebody to."""
    async with (
        prepared("bubblewrap", installation) as runtime,
        launched(runtime, folder, installation) as blank,
    ):
        assert isinstance(blank.handle, BubblewrapHandle)
        group = group_of(find_groups(), installation, blank.handle.sandbox_id)
        if code:
            await blank.specialise(code)
        os.kill(blank.handle.pid, signal.SIGKILL)
        await blank.let_go()
        await until(lambda: not group.pids())
