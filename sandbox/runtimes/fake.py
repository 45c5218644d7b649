"""The in-memory runtime: no process, no code; see `fake_player` for what its sandboxes do."""

import asyncio
from dataclasses import dataclass, replace
from pathlib import Path

from sandbox.runner.frames import Message
from sandbox.runtimes.base import Found, Handle, Launch, RuntimeUnavailableError, Throttling
from sandbox.runtimes.fake_player import FakeSandbox, Player
from sandbox.types import EndReason, Resources, Tier


@dataclass(slots=True)
class Faults:
    """What goes wrong, changeable while it runs."""

    engine_down: bool = False  # every call to the engine fails
    launch_error: str = ""
    never_dial: bool = False
    keep_destroyed: bool = False  # destroy fails; the sandbox lives on
    end: EndReason | None = None  # what the kernel is said to have ended it for
    freeze_error: str = ""
    thaw_error: str = ""
    resize_error: str = ""
    memory_bytes: int | None = 20_000_000
    throttling: Throttling | None = None
    confine_error: str = ""
    missing: tuple[str, ...] = ()


class FakeHandle:
    """One sandbox in memory."""

    def __init__(self, runtime: "FakeRuntime", sandbox: FakeSandbox) -> None:
        self._runtime = runtime
        self._sandbox = sandbox

    @property
    def sandbox_id(self) -> str:
        """The id given at launch."""
        return self._sandbox.launch.sandbox_id

    async def wait(self) -> None:
        """Return when it has ended."""
        await self._sandbox.ended.wait()

    async def end_reason(self) -> EndReason | None:
        """As the faults say."""
        return self._runtime.faults.end

    async def freeze(self) -> None:
        """Answer nothing until it is thawed."""
        self._fail_if_gone(self._runtime.faults.freeze_error)
        self._sandbox.going.clear()

    async def thaw(self) -> None:
        """Go on."""
        self._fail_if_gone(self._runtime.faults.thaw_error)
        self._sandbox.going.set()

    async def resize(self, resources: Resources) -> None:
        """Note it down."""
        self._fail_if_gone(self._runtime.faults.resize_error)
        self._sandbox.launch = replace(self._sandbox.launch, resources=resources)

    async def memory_bytes(self) -> int | None:
        """As the faults say."""
        return self._runtime.faults.memory_bytes

    async def throttling(self) -> Throttling | None:
        """As the faults say."""
        return self._runtime.faults.throttling

    async def confine(self, cores: frozenset[int]) -> None:
        """Note it down."""
        self._fail_if_gone(self._runtime.faults.confine_error)
        self._sandbox.cores = cores

    def _fail_if_gone(self, fault: str) -> None:
        self._runtime.fail_if_down()
        if fault or self._sandbox.ended.is_set():
            raise RuntimeUnavailableError(fault or "the sandbox is gone")

    async def destroy(self) -> None:
        """End it and forget it."""
        self._runtime.fail_if_down()
        if self._runtime.faults.keep_destroyed:
            raise RuntimeUnavailableError("the engine does not remove it")
        await self._runtime.end(self.sandbox_id)


class FakeRuntime:
    """Sandboxes are tasks; they outlive a manager as containers do."""

    name = "fake"
    tier = Tier.NONE
    takes_descriptors = True
    can_freeze = True

    def __init__(self) -> None:
        self.faults = Faults()
        self.launches = 0
        self._sandboxes: dict[str, FakeSandbox] = {}

    def fail_if_down(self) -> None:
        """As an engine that is away does."""
        if self.faults.engine_down:
            raise RuntimeUnavailableError("the fake engine is down")

    async def prepare(self) -> None:
        """Nothing to make."""
        self.fail_if_down()

    async def check(self) -> tuple[str, ...]:
        """As the faults say."""
        self.fail_if_down()
        return self.faults.missing

    async def launch(self, launch: Launch) -> Handle:
        """Start the task that plays the runner."""
        self.fail_if_down()
        if self.faults.launch_error:
            raise RuntimeUnavailableError(self.faults.launch_error)
        self.launches += 1
        sandbox = FakeSandbox(launch)
        sandbox.going.set()
        self._sandboxes[launch.sandbox_id] = sandbox
        if not self.faults.never_dial:
            sandbox.task = asyncio.create_task(self._play(sandbox))
        return FakeHandle(self, sandbox)

    async def find(self, installation: str) -> list[Found]:
        """Those with the label."""
        self.fail_if_down()
        return [
            Found(sandbox_id, sandbox.launch.labels, not sandbox.ended.is_set())
            for sandbox_id, sandbox in self._sandboxes.items()
            if sandbox.launch.labels.get("sandgate.installation") == installation
        ]

    async def adopt(self, found: Found) -> Handle | None:
        """Take a living one over, thawed."""
        self.fail_if_down()
        sandbox = self._sandboxes.get(found.sandbox_id)
        if sandbox is None or sandbox.ended.is_set():
            return None
        sandbox.going.set()
        return FakeHandle(self, sandbox)

    async def remove(self, found: Found) -> None:
        """Remove a stray."""
        self.fail_if_down()
        await self.end(found.sandbox_id)

    async def close(self) -> None:
        """Sandboxes stay."""

    @property
    def sandbox_ids(self) -> list[str]:
        """All that the engine knows, dead ones included until they are removed."""
        return list(self._sandboxes)

    def resources_of(self, sandbox_id: str) -> Resources:
        """What one may use now."""
        return self._sandboxes[sandbox_id].launch.resources

    def layer_of(self, sandbox_id: str) -> Path | None:
        """Which packages one was launched with."""
        return self._sandboxes[sandbox_id].launch.layer

    def is_frozen(self, sandbox_id: str) -> bool:
        """Whether one is stopped where it is."""
        return not self._sandboxes[sandbox_id].going.is_set()

    def cores_of(self, sandbox_id: str) -> frozenset[int]:
        """The processors one is kept to; empty when it never was."""
        return self._sandboxes[sandbox_id].cores

    def told(self, sandbox_id: str) -> Message:
        """The order with which one got its code."""
        return self._sandboxes[sandbox_id].order

    def hang(self, sandbox_id: str) -> None:
        """From now on one answers nothing, although it runs."""
        self._sandboxes[sandbox_id].going.clear()

    def lose(self, sandbox_id: str) -> None:
        """The engine does not know one any more, and tells nobody."""
        self._sandboxes.pop(sandbox_id)

    async def exit(self, sandbox_id: str, end: EndReason, reason: str) -> None:
        """One ends, and its runner says why."""
        sandbox = self._sandboxes[sandbox_id]
        if sandbox.say is not None:
            sandbox.say({"type": "exited", "reason": reason, "end": str(end)})
        await self.die(sandbox_id)

    async def die(self, sandbox_id: str) -> None:
        """Crash one: it ends by itself, and the engine still knows it."""
        sandbox = self._sandboxes[sandbox_id]
        if sandbox.task is not None:
            sandbox.task.cancel()
            await asyncio.wait({sandbox.task})
        sandbox.ended.set()

    async def end(self, sandbox_id: str) -> None:
        """Remove every trace."""
        if sandbox_id in self._sandboxes:
            await self.die(sandbox_id)
            self._sandboxes.pop(sandbox_id, None)

    async def _play(self, sandbox: FakeSandbox) -> None:
        try:
            await Player(sandbox).play()
        finally:
            sandbox.ended.set()
