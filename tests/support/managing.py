"""A manager over the in-memory runtime, for as long as a test needs it."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from sandbox.engines import Opened
from sandbox.manager import Manager
from sandbox.paths import RunPaths
from sandbox.pool import Policy
from sandbox.runtimes.fake import FakeRuntime
from sandbox.settings import ManagerSettings
from sandbox.types import SandboxSpec
from tests.support.waiting import until

INSTALLATION = "tests"


class ManualClock:
    """Time that moves only when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Now."""
        return self.now


@contextmanager
def short_directory() -> Iterator[Path]:
    """A directory whose path leaves room for sockets; removed at the end."""
    path = tempfile.mkdtemp(prefix="sg", dir="/tmp")
    try:
        yield Path(path)
    finally:
        shutil.rmtree(path)


def manager_settings(
    data_dir: Path,
    policy: Policy | None = None,
    start_seconds: float = 5.0,
    launch_seconds: float = 5.0,
) -> ManagerSettings:
    """Settings for a manager of this directory."""
    return ManagerSettings(
        data_dir=data_dir,
        run_dir=data_dir / "run",
        installation=INSTALLATION,
        runtime="fake",
        policy=policy or Policy(blanks=0),
        start_seconds=start_seconds,
        launch_seconds=launch_seconds,
    )


class Managed:
    """A running manager and what it runs on."""

    def __init__(self, settings: ManagerSettings, runtime: FakeRuntime, clock: ManualClock) -> None:
        self.settings = settings
        self.runtime = runtime
        self.others: tuple[FakeRuntime, ...] = ()  # beside the default one
        self.clock = clock
        self.paths = RunPaths(settings.run_dir)
        self.manager = Manager(self._open, settings, clock)
        self._house: asyncio.Task[None] | None = None

    async def _open(self) -> Opened:
        await self.runtime.prepare()
        return Opened((self.runtime, *self.others), "ok")

    def start(self) -> None:
        """Begin its life."""
        self.paths.make()
        self._house = asyncio.create_task(self.manager.run())

    async def kill(self) -> None:
        """End it as kill -9 would: nothing is tidied up, its sockets close."""
        if self._house is not None:
            self._house.cancel()
            await asyncio.wait({self._house})
        for live in list(self.manager._fleet.members.values()):
            await live.tether.let_go()
            await live._intake.close()
            if live._ways is not None:
                live._ways.close()

    async def close(self) -> None:
        """End it in the ordinary way."""
        if self._house is not None:
            self._house.cancel()
            await asyncio.wait({self._house})
        await self.manager.close()

    @property
    def statuses(self) -> list[str]:
        """Of all sandboxes."""
        return sorted(one.status for one in self.manager.status().sandboxes)

    @property
    def files(self) -> list[Path]:
        """Everything below the directories that must be empty in the end."""
        folders = (self.paths.controls, self.paths.listeners, self.paths.states)
        return [path for folder in folders for path in folder.iterdir()]

    async def warm(self, count: int) -> None:
        """Wait for so many blanks."""
        await until(lambda: self.statuses.count("blank") == count)


@asynccontextmanager
async def managed(
    policy: Policy | None = None,
    runtime: FakeRuntime | None = None,
    start_seconds: float = 5.0,
    launch_seconds: float = 5.0,
    adjust: Callable[[ManagerSettings], ManagerSettings] = lambda settings: settings,
) -> AsyncIterator[Managed]:
    """A running manager; at its end nothing may be left."""
    with short_directory() as directory:
        settings = adjust(manager_settings(directory, policy, start_seconds, launch_seconds))
        it = Managed(settings, runtime or FakeRuntime(), ManualClock())
        it.start()
        try:
            yield it
        finally:
            await it.close()
        assert it.files == []
        for engine in (it.runtime, *it.others):
            assert engine.sandbox_ids == []


def spec(version: str = "v1", api: str = "api", generation: int = 1) -> SandboxSpec:
    """A spec; equal arguments, equal spec."""
    return SandboxSpec(api, version, generation)


async def call(socket_path: str, target: str = "/") -> bytes:
    """The whole answer to one request, closed afterwards."""
    reader, writer = await asyncio.open_unix_connection(socket_path)
    try:
        writer.write(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
        return head + await reader.readexactly(length)
    finally:
        writer.transport.abort()
