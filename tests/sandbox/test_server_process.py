"""The manager as the process it is: started, stopped, killed, started again."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from sandbox.client import ManagerClient
from sandbox.paths import RunPaths
from sandbox.types import Bundle
from tests.support.managing import short_directory, spec

ROOT = Path(__file__).parents[2]


@asynccontextmanager
async def server(directory: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "sandbox.server",
        *("--data-dir", str(directory), "--run-dir", str(directory / "run")),
        *("--installation", "tests", "--runtime", "fake", "--blanks", "1"),
        cwd=ROOT,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def leftovers(directory: Path) -> list[str]:
    paths = RunPaths(directory / "run")
    folders = (paths.controls, paths.listeners, paths.states)
    left = [path.name for folder in folders for path in folder.iterdir()]
    return left + [path.name for path in [paths.manager_socket] if path.exists()]


@pytest.fixture
async def place() -> AsyncIterator[tuple[Path, ManagerClient]]:
    with short_directory() as directory:
        client = ManagerClient(directory / "run" / "manager.sock")
        yield directory, client
        await client.close()


async def test_sigterm_leaves_nothing(place: tuple[Path, ManagerClient]) -> None:
    directory, client = place
    async with server(directory) as process:
        await client.acquire(spec(), Bundle(""))
        assert leftovers(directory)
        process.terminate()
        assert await asyncio.wait_for(process.wait(), 20) == 0
    assert leftovers(directory) == []


async def test_after_kill_9_the_next_one_removes_what_was_left(
    place: tuple[Path, ManagerClient],
) -> None:
    directory, client = place
    async with server(directory) as process:
        dead = await client.acquire(spec(), Bundle(""))
        process.kill()
        await process.wait()
    assert Path(dead.socket_path).exists()
    async with server(directory):
        assert await client.renew([dead.sandbox_id]) == {}
        assert not Path(dead.socket_path).exists()
        fresh = await client.acquire(spec(), Bundle(""))
        assert fresh.sandbox_id != dead.sandbox_id


async def test_a_second_manager_waits_for_the_first(place: tuple[Path, ManagerClient]) -> None:
    directory, client = place
    async with server(directory) as first:
        lease = await client.acquire(spec(), Bundle(""))
        async with server(directory) as second:
            assert await client.find(spec()) == replace(lease, times=None)
            assert second.returncode is None
            first.terminate()
            await asyncio.wait_for(first.wait(), 20)
            assert await client.find(spec()) is None
