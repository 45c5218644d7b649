"""One sandbox that is a container: its end, its freezing, its limits."""

import asyncio
import signal
from collections.abc import Awaitable, Callable

from sandbox.runtimes import cgroup
from sandbox.runtimes.base import RuntimeUnavailableError, Throttling
from sandbox.runtimes.docker_engine import Engine
from sandbox.runtimes.gvisor import room_for
from sandbox.types import EndReason, Resources

OOM_SECONDS = 0.3  # the engine may tell of the end before it tells of the reason
KILLED_FOR_A_CALL = 128 + signal.SIGSYS


class DockerHandle:
    """One container.

    Freezing goes past the engine where its control group can be written: that takes
    a fraction of the time, and as both freezing and thawing do, the engine's own word for
    the container ("running") stays right.
    """

    def __init__(
        self,
        engine: Engine,
        sandbox_id: str,
        find_group: Callable[[str], Awaitable[cgroup.Group | None]],
        discard: Callable[[str], Awaitable[None]],
        *,
        engine_resizes: bool = True,
    ) -> None:
        self._engine = engine
        self._sandbox_id = sandbox_id
        self._find_group = find_group
        self._discard = discard
        self._group: cgroup.Group | None = None
        self._engine_resizes = engine_resizes
        self._looked = False
        self.started = False  # until then the engine's lists need not contain it
        self.ended = asyncio.Event()
        self.out_of_memory = asyncio.Event()
        self.exit_code: int | None = None

    @property
    def sandbox_id(self) -> str:
        """The id given at launch."""
        return self._sandbox_id

    async def wait(self) -> None:
        """Return when the container has ended, whoever ended it."""
        await self.ended.wait()

    async def end_reason(self) -> EndReason | None:
        """As its group counts, its exit code says or the engine tells."""
        if self.exit_code == KILLED_FOR_A_CALL:
            return EndReason.SYSCALL
        group = await self._own_group()
        if group is not None and group.oom_kills() > 0:
            return EndReason.MEMORY
        try:
            await asyncio.wait_for(self.out_of_memory.wait(), OOM_SECONDS)
        except TimeoutError:
            return None
        return EndReason.MEMORY

    async def freeze(self) -> None:
        """Stop all its processes where they are."""
        self._must_live()
        group = await self._own_group()
        if group is None:
            await self._engine.pause(self._sandbox_id)
        else:
            await asyncio.to_thread(_told, group.freeze)

    async def thaw(self) -> None:
        """Let its processes go on."""
        self._must_live()
        group = await self._own_group()
        if group is None:
            await self._engine.unpause(self._sandbox_id)
        else:
            _told(group.thaw)

    async def thaw_whoever_froze(self) -> None:
        """After a restart: the manager before, or somebody at the engine, may have frozen it."""
        if (await self._engine.look(self._sandbox_id)).is_paused:
            await self._engine.unpause(self._sandbox_id)
        group = await self._own_group()
        if group is not None:
            _told(group.thaw)

    async def resize(self, resources: Resources) -> None:
        """Give it other limits."""
        self._must_live()
        if self._engine_resizes:
            await self._engine.resize(self._sandbox_id, resources)
            return
        group = await self._own_group()
        if group is None:
            raise RuntimeUnavailableError("docker: this runtime changes no limits")
        _told(lambda: group.resize(room_for(resources)))

    async def memory_bytes(self) -> int | None:
        """What it uses now; None where its group cannot be read: engines answer too slowly."""
        group = await self._own_group()
        return None if group is None else group.memory_bytes()

    async def throttling(self) -> Throttling | None:
        """As its group counts; None where that cannot be read."""
        group = await self._own_group()
        return None if group is None else group.throttling()

    async def confine(self, cores: frozenset[int]) -> None:
        """Past the engine, which would tell nobody about it."""
        self._must_live()
        group = await self._own_group()
        if group is None:
            raise RuntimeUnavailableError("docker: its processes cannot be moved")
        _told(lambda: group.confine(cores))

    async def destroy(self) -> None:
        """Kill and remove the container; returns when the engine no longer knows it."""
        await self._discard(self._sandbox_id)
        self.ended.set()

    def _must_live(self) -> None:
        if self.ended.is_set():
            raise RuntimeUnavailableError("docker: the container has ended")

    async def _own_group(self) -> cgroup.Group | None:
        """Looked for once, when it is first needed."""
        if not self._looked and not self.ended.is_set():
            try:
                self._group = await self._find_group(self._sandbox_id)
            except RuntimeUnavailableError:
                return None  # the engine is away; asked again the next time
            self._looked = True
        return self._group


def _told(action: Callable[[], None]) -> None:
    try:
        action()
    except OSError as error:
        raise RuntimeUnavailableError(f"docker: {error}") from error
