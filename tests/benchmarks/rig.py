"""What every section measures on: installations of ours, their sandboxes, and a Redis."""

import asyncio
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psutil

from gateway.settings import Settings
from sandbox.client import ManagerClient
from sandbox.paths import RunPaths, runtime_dir
from sandbox.runtimes.identity import uid_of
from tests.benchmarks.processes import Cores, family, free_port, started
from tests.support.installation import Installation, installation

MANY: Mapping[str, int | None] = {"minute": 10**8, "hour": 10**9, "day": 10**9}


@dataclass(frozen=True, slots=True)
class Redis:
    """A server on loopback that keeps nothing on disk."""

    port: int
    pid: int

    @property
    def url(self) -> str:
        """What REDIS_URL is set to."""
        return f"redis://127.0.0.1:{self.port}/0"


@dataclass(slots=True)
class Deployed:
    """An API with its key and the socket of its sandbox."""

    made: Installation
    api: dict[str, Any]
    unix: str = ""

    @property
    def key(self) -> str:
        """The caller's."""
        return str(self.api["api_key"])

    @property
    def path(self) -> str:
        """Of the API's root."""
        return f"/{self.api['id']}/"

    @property
    def port(self) -> int:
        """Of the public listener."""
        return int(self.made.url.rpartition(":")[2])

    @property
    def url(self) -> str:
        """Of the API's root, as a caller writes it."""
        return self.made.url + self.path

    def warm(self) -> None:
        """One call, and where its sandbox listens."""
        with self.made.client() as client:
            answer = client.get(self.path, headers={"X-API-Key": self.key})
            answer.raise_for_status()
        self.unix = _socket_of(self.made, str(self.api["id"]))


@dataclass(frozen=True, slots=True)
class Rig:
    """What a section may use. `runtime` is that of every sandbox."""

    seconds: float
    rounds: int
    connections: int
    peers: tuple[str, ...]
    runtime: str
    cores: Cores
    folder: Path
    sizes: Mapping[str, int] = field(default_factory=dict)

    def with_cores(self, cores: Cores) -> "Rig":
        """The same on other cores."""
        return replace(self, cores=cores)

    @contextmanager
    def ours(self, *arguments: str, **environment: str) -> Iterator[Installation]:
        """One installation; its sandboxes stay awake while peers are measured on them."""
        awake = {"SANDBOX_LEASE_SECONDS": "3600", "SANDBOX_RUNTIME": self.runtime}
        with installation(*arguments, **{**awake, **environment}) as made:
            yield made

    def deploy(self, made: Installation, name: str, code: str, **more: Any) -> Deployed:
        """An API whose three windows are there and never full."""
        deployed = Deployed(made, made.deploy(name, code, **more))
        made.set_limits(deployed.api["tenant_id"], MANY)
        deployed.warm()
        return deployed

    @contextmanager
    def redis(self) -> Iterator[Redis]:
        """A Redis of this run's own."""
        port = free_port()
        arguments = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        folder = ["--dir", str(self.folder)]
        log = self.folder / f"redis-{port}.log"
        with started(["redis-server", *arguments, *folder], port, log) as pid:
            yield Redis(port, pid)

    def pin(self, made: Installation) -> None:
        """Gateways alone on their core; everything else of the installation elsewhere."""
        gateways = gateway_pids(made)
        others = [pid for pid in family(made.pid) if pid not in gateways]
        self.cores.rest(others + _sandboxed(made))
        self.cores.proxy(gateways)


@contextmanager
def rig_folder() -> Iterator[Path]:
    """Short enough for sockets, removed at the end."""
    with ExitStack() as stack:
        path = tempfile.mkdtemp(prefix="sgb", dir="/tmp")
        stack.callback(shutil.rmtree, path, ignore_errors=True)
        yield Path(path)


def knows_redis() -> bool:
    """Whether limits can be shared through Redis."""
    return "redis_url" in Settings.model_fields


def gateway_pids(made: Installation) -> list[int]:
    """Every process that answers callers."""
    found = []
    for pid in family(made.pid):
        try:
            line = psutil.Process(pid).cmdline()
        except psutil.Error:
            continue
        if "gateway.cli.main" in line and "gateway" in line:
            found.append(pid)
    return found


def _living(made: Installation) -> dict[str, str]:
    """Sandbox by API."""

    async def ask() -> dict[str, str]:
        client = ManagerClient(RunPaths(runtime_dir(made.data_dir)).manager_socket)
        try:
            status = await client.status()
        finally:
            await client.close()
        return {one.spec.api_id: one.sandbox_id for one in status.sandboxes if one.spec}

    return asyncio.run(ask())


def _socket_of(made: Installation, api_id: str) -> str:
    return str(runtime_dir(made.data_dir) / "s" / f"{_living(made)[api_id]}.sock")


def _sandboxed(made: Installation) -> list[int]:
    """Processes inside the installation's sandboxes."""
    uids = {uid_of(sandbox_id) for sandbox_id in _living(made).values()}
    return [p.pid for p in psutil.process_iter(["uids"]) if p.info["uids"].real in uids]
