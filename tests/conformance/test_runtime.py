"""What every runtime promises its manager; one suite over all of them, the double included."""

import asyncio
import contextlib
import sys
from pathlib import Path

import pytest

from sandbox.channel import ChannelClosedError
from sandbox.runtimes.base import Runtime, RuntimeUnavailableError
from sandbox.types import EndReason, Resources
from tests.support import residue
from tests.support.blanks import launched, new_launch
from tests.support.runtimes import (
    EVERY,
    make,
    new_installation,
    prepared,
    runner_root,
)

HELLO = """
from fastapi import FastAPI
app = FastAPI()
@app.get("/")
def hello(): return {"hello": "world"}
"""
HUNGRY = """
from fastapi import FastAPI
app = FastAPI()
@app.get("/")
def eat():
    kept = []
    while True:
        kept.append(bytearray(b"x" * 4_000_000))
"""
SMALL = Resources(memory_mb=128)


# user code, the kernel and the host, which the double does not have
real_only = pytest.mark.parametrize("name", EVERY, indirect=True)


async def test_a_blank_dials_takes_code_and_answers(
    runtime: Runtime, folder: Path, installation: str
) -> None:
    async with launched(runtime, folder, installation) as blank:
        assert (await blank.specialise(HELLO))["type"] == "ready"
        assert (await blank.get()).status == 200


async def test_destroy_leaves_nothing(runtime: Runtime, folder: Path, installation: str) -> None:
    async with launched(runtime, folder, installation) as blank:
        await blank.specialise(HELLO)
    assert await runtime.find(installation) == []
    assert residue.containers(installation) == []
    assert residue.cgroups(installation) == []


async def test_destroy_may_be_called_twice_and_at_once(
    runtime: Runtime, folder: Path, installation: str
) -> None:
    async with launched(runtime, folder, installation) as blank:
        await asyncio.gather(blank.handle.destroy(), blank.handle.destroy())
        await blank.handle.destroy()
        await asyncio.wait_for(blank.handle.wait(), 10)


async def test_wait_returns_when_another_manager_ends_the_sandbox(
    name: str, runtime: Runtime, folder: Path, installation: str
) -> None:
    async with (
        prepared(name, installation) as other,
        launched(runtime, folder, installation) as blank,
    ):
        [found] = await other.find(installation)
        await other.remove(found)
        await asyncio.wait_for(blank.handle.wait(), 10)
        assert await runtime.find(installation) == []


async def test_wait_returns_when_the_sandbox_ends_by_itself(
    runtime: Runtime, folder: Path, installation: str
) -> None:
    async with launched(runtime, folder, installation) as blank:
        await blank.channel.send({"type": "stop", "seconds": 1})
        await asyncio.wait_for(blank.handle.wait(), 10)
        assert await blank.handle.end_reason() is None


async def test_a_later_manager_finds_what_lives_with_its_labels(
    name: str, runtime: Runtime, folder: Path, installation: str
) -> None:
    async with (
        launched(runtime, folder, installation) as blank,
        prepared(name, installation) as later,
    ):
        [found] = await later.find(installation)
        assert found.sandbox_id == blank.handle.sandbox_id
        assert found.alive
        assert found.labels["sandgate.installation"] == installation


async def test_sandboxes_of_other_installations_are_not_found(
    runtime: Runtime, folder: Path, installation: str
) -> None:
    async with launched(runtime, folder, installation):
        assert await runtime.find(new_installation()) == []


async def test_an_adopted_sandbox_is_watched_or_adoption_is_refused(
    name: str, runtime: Runtime, folder: Path, installation: str
) -> None:
    async with (
        launched(runtime, folder, installation) as blank,
        prepared(name, installation) as later,
    ):
        [found] = await later.find(installation)
        adopted = await later.adopt(found)
        assert (adopted is None) == (name == "bubblewrap")
        await blank.handle.destroy()
        if adopted is not None:
            await asyncio.wait_for(adopted.wait(), 10)


async def test_removing_what_is_gone_already_is_fine(
    runtime: Runtime, folder: Path, installation: str
) -> None:
    async with launched(runtime, folder, installation):
        [found] = await runtime.find(installation)
    await runtime.remove(found)


@real_only
async def test_the_kernel_ending_something_for_memory_is_noticed(
    runtime: Runtime, folder: Path, installation: str
) -> None:
    async with launched(runtime, folder, installation, SMALL) as blank:
        await blank.specialise(HUNGRY)
        call = asyncio.create_task(blank.get())
        with contextlib.suppress(ChannelClosedError):  # gVisor's kernel goes down as a whole
            await blank.heard("exited")
        assert await blank.handle.end_reason() is EndReason.MEMORY
        await asyncio.gather(call, return_exceptions=True)


@real_only
async def test_a_failed_launch_leaves_nothing(
    runtime: Runtime, folder: Path, installation: str
) -> None:
    launch = new_launch(folder, installation)
    launch.control_dir.rmdir()
    with pytest.raises(RuntimeUnavailableError):
        await runtime.launch(launch)
    assert await runtime.find(installation) == []


@real_only
async def test_a_cancelled_launch_leaves_nothing(
    runtime: Runtime, folder: Path, installation: str
) -> None:
    starting = asyncio.create_task(runtime.launch(new_launch(folder, installation)))
    await asyncio.sleep(0)  # let it begin
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert await runtime.find(installation) == []


@real_only
@pytest.mark.parametrize("state", ["running", "frozen"])
async def test_after_the_manager_was_killed_the_next_one_leaves_nothing(
    name: str, runtime: Runtime, folder: Path, installation: str, state: str
) -> None:
    root = str(runner_root().path)
    manager = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.support.lone_manager", name, installation),
        *(str(folder), root, state),
        stdout=asyncio.subprocess.PIPE,
    )
    assert manager.stdout is not None
    assert await asyncio.wait_for(manager.stdout.readline(), 60) == b"launched\n"
    manager.kill()
    await manager.wait()
    for found in await runtime.find(installation):
        await runtime.remove(found)
    assert await runtime.find(installation) == []
    assert residue.containers(installation) == []
    assert residue.cgroups(installation) == []


@real_only
async def test_several_start_at_once(runtime: Runtime, folder: Path, installation: str) -> None:
    async def one() -> bytes:
        async with launched(runtime, folder, installation) as blank:
            await blank.specialise(HELLO)
            return (await blank.get()).body

    assert await asyncio.gather(*(one() for _ in range(4))) == [b'{"hello":"world"}'] * 4
    assert await runtime.find(installation) == []


async def test_preparing_again_changes_nothing(
    runtime: Runtime, folder: Path, installation: str
) -> None:
    await runtime.prepare()
    async with launched(runtime, folder, installation) as blank:
        assert (await blank.specialise(HELLO))["type"] == "ready"


@real_only
async def test_launching_before_preparing_is_refused(
    name: str, folder: Path, installation: str
) -> None:
    runtime = make(name, installation)
    with pytest.raises(RuntimeUnavailableError):
        await runtime.launch(new_launch(folder, installation))
    await runtime.close()


@real_only
async def test_nothing_is_missing_on_this_host_but_what_the_runtime_cannot_do(
    name: str, runtime: Runtime
) -> None:
    """Runs as root on the machines that build this, so every limit must work."""
    lacks = {"gvisor": ("inode limit on /tmp", "process limit of user code")}
    assert await runtime.check() == lacks.get(name, ())
