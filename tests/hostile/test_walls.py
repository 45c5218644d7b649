"""Walls that every tier has, tried from the inside; where a tier lacks one it says so itself."""

import platform
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from sandbox.types import Resources
from tests.support.blanks import Blank, launched
from tests.support.runtimes import EVERY, new_installation, prepared, short_folder

CODE = (Path(__file__).parent / "walls_app.py").read_text()
RESOURCES = Resources(memory_mb=256, pids=64, tmp_mb=16)
MOST_FILES = 16384
# written by the kernel alone, for this sandbox alone
OF_THE_KERNEL = {"proc", "sysfs", "devpts", "mqueue", "cgroup", "cgroup2", "devtmpfs"}

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Inside:
    """A sandbox that runs the probes, and what its runtime says it lacks."""

    def __init__(self, name: str, blank: Blank, missing: tuple[str, ...]) -> None:
        self.name = name
        self.missing = missing
        self._blank = blank

    async def ask(self, path: str) -> Any:
        answer = await self._blank.get(path)
        assert answer.status == 200, answer.body
        return answer.json()


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=EVERY)
async def inside(request: pytest.FixtureRequest) -> AsyncIterator[Inside]:
    installation = new_installation()
    async with (
        short_folder() as folder,
        prepared(request.param, installation) as runtime,
        launched(runtime, folder, installation, RESOURCES) as blank,
    ):
        assert (await blank.specialise(CODE))["type"] == "ready"
        yield Inside(request.param, blank, await runtime.check())


@pytest.mark.skipif(platform.machine() != "x86_64", reason="machine code of x86_64")
async def test_other_ways_into_the_kernel_are_closed(inside: Inside) -> None:
    answers = await inside.ask("/abi")
    assert set(answers.values()) <= {"signal 31", "refused"}
    if inside.name != "gvisor":  # whose own kernel knows no such way at all
        assert set(answers.values()) == {"signal 31"}


async def test_nothing_that_can_be_written_is_shared_with_the_host(inside: Inside) -> None:
    writable = {
        kind
        for _, kind, flags in await inside.ask("/mounts")
        if "rw" in flags.split(",") and kind not in OF_THE_KERNEL
    }
    assert writable == {"tmpfs"}


async def test_files_of_ones_own_cannot_be_run(inside: Inside) -> None:
    assert await inside.ask("/execute") == {"/tmp": "EACCES", "/dev/shm": "EACCES"}


async def test_the_number_of_files_in_tmp_is_limited(inside: Inside) -> None:
    made = await inside.ask(f"/inodes?most={MOST_FILES + 1000}")
    is_limited = (made["error"], made["made"] <= MOST_FILES) == ("ENOSPC", True)
    assert is_limited != ("inode limit on /tmp" in inside.missing)


async def test_limits_of_each_process_are_set(inside: Inside) -> None:
    limits = await inside.ask("/limits")
    assert limits == {"CORE": 0, "NOFILE": 4096, "FSIZE": RESOURCES.tmp_mb * 1024 * 1024}


async def test_open_files_end_at_the_limit(inside: Inside) -> None:
    assert await inside.ask("/descriptors") < 4096


async def test_what_ordinary_programs_need_works(inside: Inside) -> None:
    answers = await inside.ask("/usual")
    assert answers == dict.fromkeys(answers, "80") | {"datagram": "True"}
