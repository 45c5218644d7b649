"""The docker runtime against a real engine: flags as inspected, an engine that goes and comes."""

import asyncio
import contextlib
import gc
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import docker
import docker.errors
import pytest

from sandbox.runtimes.base import RuntimeUnavailableError
from sandbox.runtimes.docker import DockerRuntime
from sandbox.runtimes.docker_spec import container_name
from sandbox.runtimes.identity import uid_of
from sandbox.runtimes.image import image_tag
from sandbox.runtimes.seccomp import load_profile
from sandbox.types import Resources
from tests.support.blanks import launched, new_launch
from tests.support.engines import require_docker
from tests.support.runtimes import new_installation, prepared, runner_root, short_folder

pytestmark = [
    pytest.mark.docker,
    # the engine's client forgets to close a socket that could not be connected
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]
ENGINE = Path("/var/run/docker.sock")
RESOURCES = Resources(memory_mb=200, cpus=0.5, pids=60, tmp_mb=20)
MB = 1024 * 1024


@pytest.fixture(autouse=True)
def collected() -> Iterator[None]:
    """So that such sockets go here and not in somebody else's test."""
    yield
    gc.collect()


@pytest.fixture
async def folder() -> AsyncIterator[Path]:
    async with short_folder() as folder:
        yield folder


def inspect(sandbox_id: str) -> dict[str, Any]:
    with contextlib.closing(docker.from_env()) as client:
        found: dict[str, Any] = client.api.inspect_container(container_name(sandbox_id))
    return found


async def test_inspect_shows_every_wall_and_limit(folder: Path) -> None:
    installation = new_installation()
    async with (
        prepared("docker", installation) as runtime,
        launched(runtime, folder, installation, RESOURCES) as blank,
    ):
        seen = await asyncio.to_thread(inspect, blank.handle.sandbox_id)
    host = seen["HostConfig"]
    uid = uid_of(blank.handle.sandbox_id)
    assert seen["Config"]["User"] == f"{uid}:{uid}"
    assert seen["Config"]["Labels"]["sandgate.installation"] == installation
    assert not seen["Config"]["Tty"]
    assert seen["NetworkSettings"]["Networks"].keys() <= {"none"}
    plain = {
        "NetworkMode": "none",
        "ReadonlyRootfs": True,
        "Privileged": False,
        "CapAdd": None,
        "CapDrop": ["ALL"],
        "Memory": 200 * MB,
        "MemorySwap": 200 * MB,
        "PidsLimit": 60,
        "NanoCpus": 500_000_000,
        "Init": False,
        "IpcMode": "private",
        "CgroupnsMode": "private",
        "ShmSize": 8 * MB,
        "AutoRemove": True,
        "Binds": None,
        "Devices": None,
        "PidMode": "",
        "UTSMode": "",
    }
    assert {name: host[name] for name in plain} == plain
    assert host["LogConfig"]["Type"] == "none"
    assert host["RestartPolicy"]["Name"] == "no"
    assert "noexec,nosuid,nodev" in host["Tmpfs"]["/tmp"]
    assert {limit["Name"]: limit["Hard"] for limit in host["Ulimits"]} == {
        "core": 0,
        "fsize": 20 * MB,
        "nofile": 4096,
        "nproc": 60,
    }
    mounts = {(mount["Destination"], mount["RW"]) for mount in seen["Mounts"]}
    assert mounts == {("/ctl", False), ("/etc/hosts", False)}


async def test_inspect_shows_our_own_list_of_system_calls(folder: Path) -> None:
    installation = new_installation()
    async with (
        prepared("docker", installation) as runtime,
        launched(runtime, folder, installation) as blank,
    ):
        seen = await asyncio.to_thread(inspect, blank.handle.sandbox_id)
    privileges, profile = seen["HostConfig"]["SecurityOpt"]
    assert privileges == "no-new-privileges:true"
    assert json.loads(profile.removeprefix("seccomp=")) == load_profile()


async def test_an_engine_that_is_not_there_is_told(folder: Path) -> None:
    runtime = DockerRuntime(folder, "x", base_url=f"unix://{folder}/absent.sock")
    with pytest.raises(RuntimeUnavailableError, match="docker: no engine answers"):
        await runtime.prepare()
    await runtime.close()


async def test_an_image_that_somebody_removed_is_made_again(folder: Path) -> None:
    installation = new_installation()
    async with prepared("docker", installation) as runtime:
        await asyncio.to_thread(remove_image, image_tag(runner_root()))
        async with launched(runtime, folder, installation) as blank:
            assert await blank.handle.end_reason() is None


def remove_image(tag: str) -> None:
    with contextlib.closing(docker.from_env()) as client:
        client.images.remove(tag, force=True)


async def test_a_base_image_that_does_not_exist_is_told(folder: Path) -> None:
    require_docker()
    runtime = DockerRuntime(folder, "x", root=runner_root(), base_image="sandgate-absent:none")
    with pytest.raises(RuntimeUnavailableError, match="docker"):
        await runtime.prepare()
    await runtime.close()


class Forwarder:
    """Stands between runtime and engine, so that the engine can go away for one test."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_unix_server(self._serve, self._path)

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()
        self._path.unlink(missing_ok=True)
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_unix_connection(ENGINE)
        self._writers |= {writer, far_writer}
        for source, target in ((reader, far_writer), (far_reader, writer)):
            task = asyncio.create_task(self._pump(source, target))
            self._tasks.add(task)

    async def _pump(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(65536):
                target.write(data)
                await target.drain()
        with contextlib.suppress(OSError, RuntimeError):
            target.close()


@pytest.fixture
async def engine(folder: Path) -> AsyncIterator[Forwarder]:
    require_docker()
    forwarder = Forwarder(folder / "e.sock")
    await forwarder.start()
    yield forwarder
    await forwarder.stop()


async def test_a_sandbox_that_ends_while_the_engine_is_away_is_noticed_when_it_is_back(
    folder: Path, engine: Forwarder
) -> None:
    installation = new_installation()
    runtime = DockerRuntime(
        folder, installation, base_url=f"unix://{folder}/e.sock", root=runner_root()
    )
    await runtime.prepare()
    try:
        async with launched(runtime, folder, installation) as blank:
            await engine.stop()
            with pytest.raises(RuntimeUnavailableError):
                await runtime.check()
            with pytest.raises(RuntimeUnavailableError):
                await runtime.launch(new_launch(folder, installation))
            async with prepared("docker", installation) as other:
                for found in await other.find(installation):
                    await other.remove(found)
            await engine.start()
            await asyncio.wait_for(blank.handle.wait(), 20)
            assert await runtime.check() == ()
    finally:
        await runtime.close()
