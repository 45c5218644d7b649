"""Layers by the real manager, sandboxes and door: built with one way out, used by code."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from sandbox.egress.authority import Authority
from sandbox.egress.dialling import Dialler
from sandbox.egress.door import Door
from sandbox.egress.limits import Limits
from sandbox.egress.resolve import Resolver, nameservers
from sandbox.engines import Opened
from sandbox.layers.layers import Layers
from sandbox.layers.settings import make_settings
from sandbox.manager import Manager
from sandbox.outlet_server import serving_outlet
from sandbox.paths import RunPaths
from sandbox.pool import Policy
from sandbox.settings import ManagerSettings
from sandbox.types import Bundle, DependencyError, Lock, ManagerUnavailableError, SandboxSpec
from tests.support.managing import call
from tests.support.package_index import PackageIndex, package_index
from tests.support.runtimes import EVERY, REAL, new_installation, prepared, short_folder
from tests.support.waiting import until

CODE = """
import sys
import tool
from fastapi import FastAPI

app = FastAPI()

@app.get("/")
def read() -> dict[str, object]:
    return {"version": tool.version, "last": sys.path[-1]}
"""


@pytest.fixture
def index() -> Iterator[PackageIndex]:
    with package_index() as index:
        yield index


@asynccontextmanager
async def running(name: str, index_url: str) -> AsyncIterator[tuple[Manager, Path]]:
    """A manager over a real runtime, with a door beside it, and its data directory."""
    installation = new_installation()
    async with short_folder() as folder, prepared(name, installation) as runtime:
        settings = ManagerSettings(
            data_dir=folder,
            run_dir=folder / "run",
            installation=installation,
            policy=replace(Policy(), blanks=0),
        )
        paths = RunPaths(settings.run_dir)
        paths.make()
        paths.door_socket.parent.mkdir(exist_ok=True)
        rules = make_settings(index_url=index_url)

        async def opened() -> Opened:
            return Opened((runtime,), "ok")

        manager = Manager(
            opened,
            settings,
            make_layers=lambda builder, in_use: Layers(folder, rules, builder, in_use=in_use),
        )
        limits = Limits()
        dialler = Dialler(Resolver(nameservers([]), limits.resolve_seconds), limits)
        door = Door(limits, dialler, Authority())
        async with serving_outlet(paths.door_socket, door, {0}):
            house = asyncio.create_task(manager.run())
            try:
                yield manager, folder
            finally:
                house.cancel()
                await asyncio.wait({house})
                await manager.close()
                await door.close()


async def served(manager: Manager, lock: Lock, version: str) -> bytes:
    spec = SandboxSpec("api", version, layer=lock.digest)
    lease = await manager.acquire(spec, Bundle(CODE, lock=lock.text))
    return (await call(lease.socket_path)).partition(b"\r\n\r\n")[2]


@pytest.mark.parametrize("name", EVERY)
async def test_two_versions_with_conflicting_pins_run_side_by_side(
    name: str, index: PackageIndex
) -> None:
    index.add("tool", "1.0")
    index.add("tool", "2.0")
    async with running(name, index.url) as (manager, _):
        old, new = await asyncio.gather(manager.lock(["tool<2"]), manager.lock(["tool>=2"]))
        assert await served(manager, old, "v1") == b'{"version":"1.0","last":"/layer"}'
        assert await served(manager, new, "v2") == b'{"version":"2.0","last":"/layer"}'
        # builders are gone: what lives are the two with code
        await until(lambda: len(manager.status().sandboxes) == 2)


@pytest.mark.parametrize("name", REAL)
async def test_a_lost_layer_is_made_again_from_its_lock(name: str, index: PackageIndex) -> None:
    index.add("tool", "1.0")
    async with running(name, index.url) as (manager, folder):
        lock = await manager.lock(["tool"])
        (folder / "layers" / lock.digest).rename(folder / "lost")
        assert b'"1.0"' in await served(manager, lock, "v1")
        assert (folder / "layers" / lock.digest).is_dir()


@pytest.mark.parametrize("name", REAL)
async def test_a_builder_reaches_the_index_and_nothing_else(name: str, index: PackageIndex) -> None:
    with package_index() as other:
        other.add("tool", "1.0")
        index.add("tool", "1.0")
        elsewhere = other.url.replace("/simple", "/files/")
        for listed in index._listed["tool"]:
            listed["url"] = elsewhere + str(listed["filename"])
        async with running(name, index.url) as (manager, _):
            with pytest.raises(ManagerUnavailableError, match="index cannot be reached"):
                await manager.lock(["tool"])
            assert other.requests == []
            assert index.requests


@pytest.mark.parametrize("name", REAL)
async def test_a_bomb_ends_its_builder_and_nothing_more(name: str, index: PackageIndex) -> None:
    zeros = bytes(64 * 1024 * 1024)
    index.add("bomb", "1.0", {f"bomb/{n}.bin": zeros for n in range(24)})
    async with running(name, index.url) as (manager, folder):
        with pytest.raises(DependencyError, match="large"):
            await manager.lock(["bomb"])
        assert not [p for p in (folder / "layers").iterdir() if len(p.name) > 20]
        await until(lambda: manager.status().sandboxes == ())
