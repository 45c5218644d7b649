"""Sandboxes that come and go, one after the other and several at once, use nothing up."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sandbox.probes.cell import cell
from sandbox.runtimes.base import Runtime
from tests.support.residue import cgroups, containers
from tests.support.runtimes import EVERY, new_installation, prepared, short_folder

APP = "from fastapi import FastAPI\n\napp = FastAPI()\n\n\n@app.get('/')\ndef root(): return 1\n"
ROUNDS = 5
AT_ONCE = 3


@pytest.fixture(params=EVERY)
async def home(request: pytest.FixtureRequest) -> AsyncIterator[tuple[Runtime, Path, str]]:
    installation = new_installation()
    async with (
        short_folder() as folder,
        prepared(request.param, installation) as runtime,
    ):
        yield runtime, folder, installation


def descriptors() -> int:
    """Open ones of ours."""
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.timeout(300)
async def test_coming_and_going_leaves_nothing(home: tuple[Runtime, Path, str]) -> None:
    runtime, folder, installation = home

    async def come_and_go() -> None:
        async with cell(runtime, folder, installation, APP) as one:
            assert await one.get("/") == 1

    async def crowd(rounds: int) -> None:
        for _ in range(rounds):
            await asyncio.gather(*(come_and_go() for _ in range(AT_ONCE)))

    await crowd(2)  # threads, and the engine's connection that each of them keeps
    before = descriptors()
    await crowd(ROUNDS)
    assert containers(installation) == []
    assert cgroups(installation) == []
    assert await runtime.find(installation) == []
    assert str(folder) not in Path("/proc/self/mountinfo").read_text()
    assert os.listdir(folder) == []
    # threads still come, each with a descriptor or two, but not with every sandbox
    assert descriptors() - before < ROUNDS * AT_ONCE
