"""All sandboxes of this manager: launch, hand out, refill, and remove until they are gone."""

import asyncio
import contextlib
import secrets
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

import structlog

from sandbox import pool
from sandbox.health import EngineHealth
from sandbox.live import LaunchFailedError, Live
from sandbox.paths import RunPaths
from sandbox.pool import Status
from sandbox.reconcile import State
from sandbox.runtimes.base import Found, Runtime, RuntimeUnavailableError
from sandbox.settings import ManagerSettings
from sandbox.types import CapacityError, Resources, SandboxSpec

_log = structlog.get_logger(__name__)

_STOP_SECONDS = 2.0
_CLOSE_SECONDS = 25.0
_LAUNCHES_AT_ONCE = 8


class Observer(Protocol):
    """Who routes to the sandboxes and must know when one leaves."""

    def crashed(self, live: Live) -> None:
        """A ready one ended by itself; `left` follows."""
        ...

    def left(self, live: Live) -> None:
        """It takes no more calls, whatever the reason."""
        ...


class Fleet:
    """Members count; graves are those the engine still has to remove."""

    def __init__(
        self,
        settings: ManagerSettings,
        health: EngineHealth,
        clock: Callable[[], float],
        observer: Observer,
    ) -> None:
        self.members: dict[str, Live] = {}
        self.graves: dict[str, Live] = {}
        self._runtime: Runtime | None = None
        self._settings = settings
        self._policy = settings.policy
        self._health = health
        self._clock = clock
        self._observer = observer
        self._paths = RunPaths(settings.run_dir)
        self._tasks: set[asyncio.Task[None]] = set()
        self._removing: set[str] = set()
        self._slots = asyncio.Semaphore(_LAUNCHES_AT_ONCE)
        self._open = False

    # --- in

    def use(self, runtime: Runtime) -> None:
        """What starts sandboxes from now on."""
        self._runtime = runtime

    @property
    def _engine(self) -> Runtime:
        if self._runtime is None:
            raise RuntimeUnavailableError("no runtime is prepared")
        return self._runtime

    def open(self) -> None:
        """From now on blanks are kept ready."""
        self._open = True
        self.refill()

    def take(self, spec: SandboxSpec) -> Live:
        """A sandbox for this spec alone: a blank, one on its way, or a new one.

        Call `refill` once it has started: until then the next blank would only slow it down.
        """
        chosen = pool.choose_blank(self._snapshot(), spec.resources)
        live = self.members[chosen] if chosen else self._new(spec.resources)
        live.reserve(spec)
        live.renewed_at = self._clock()
        return live

    async def launched(self, live: Live) -> None:
        """Wait until its runner is warm; LaunchFailedError."""
        if live.launched is not None:
            await asyncio.shield(live.launched)

    def refill(self) -> None:
        """Launch what the pool lacks."""
        if not self._open or not self._health.may_try(self._clock()):
            return
        for _ in range(pool.blanks_to_launch(self._snapshot(), self._policy)):
            self._spawn(self._settle(self._add(Resources())))

    async def adopt(self, found: Found, state: State) -> bool:
        """Take over one in service, or remove it."""
        live = self._make(found.sandbox_id, state.spec.resources)
        if not await live.adopt(found, state):
            with contextlib.suppress(TimeoutError, RuntimeUnavailableError):
                await live.destroy()
            await self._engine.remove(found)
            return False
        live.renewed_at = self._clock()
        self.members[live.sandbox_id] = live
        return True

    def _new(self, resources: Resources) -> Live:
        if not pool.has_room(self._snapshot(), self._policy):
            victim = pool.choose_victim(self._snapshot(), self._policy, self._clock())
            if victim is None:
                raise CapacityError(f"all {self._policy.maximum} sandboxes are in use")
            self.bury(self.members[victim], "evicted")
        return self._add(resources)

    def _add(self, resources: Resources) -> Live:
        live = self._make(secrets.token_hex(8), resources)
        live.launched = asyncio.create_task(self._launch(live))
        live.launched.add_done_callback(_look_at)
        self.members[live.sandbox_id] = live
        return live

    def _make(self, sandbox_id: str, resources: Resources) -> Live:
        live = Live(sandbox_id, resources, self._engine, self._paths, self._ended)
        live.born = self._clock()
        return live

    async def _launch(self, live: Live) -> None:
        async with self._slots:
            if live.status is not Status.LAUNCHING:
                raise LaunchFailedError("it was stopped before it was launched")
            try:
                await live.launch(self._settings.installation, self._settings.launch_seconds)
            except LaunchFailedError as error:
                if live.status is Status.LAUNCHING:
                    self.engine_failed(str(error))
                raise
        self._health.works()

    async def _settle(self, live: Live) -> None:
        """After a blank's launch: the next one when it went well, else remove it."""
        try:
            await self.launched(live)
        except LaunchFailedError as error:
            _log.info("no blank", reason=str(error), **live.names())
        finally:
            if live.status is Status.LAUNCHING and not live.reserved:
                self.bury(live, "launch failed")
        self.refill()

    def _snapshot(self) -> list[pool.Member]:
        return [live.member() for live in self.members.values()]

    # --- out

    def expire(self) -> None:
        """End those nobody has used for long."""
        for sandbox_id in pool.to_expire(self._snapshot(), self._policy, self._clock()):
            self._spawn(self.stop(self.members[sandbox_id], "idle"))

    async def stop(self, live: Live, why: str) -> None:
        """Unroutable at once, then a moment for its own shutdown, then gone."""
        self._leave(live, why)
        await self._remove(live, live.stop(_STOP_SECONDS))

    def bury(self, live: Live, why: str) -> None:
        """Unroutable at once, removed in the background."""
        self._leave(live, why)
        self._spawn(self._remove(live, live.destroy()))

    def retry_graves(self) -> None:
        """Ask the engine again for those it did not remove."""
        if self._health.may_try(self._clock()):
            for live in list(self.graves.values()):
                if live.sandbox_id not in self._removing:
                    self._spawn(self._remove(live, live.destroy()))

    def _ended(self, live: Live) -> None:
        """It ended without being told to. One that is starting is its starter's business."""
        if live.sandbox_id not in self.members:
            return
        if live.status is Status.READY:
            self._observer.crashed(live)
            self.bury(live, f"ended: {live.end_reason}")
        elif live.status is Status.BLANK and not live.reserved:
            self.bury(live, f"ended: {live.end_reason}")

    def _leave(self, live: Live, why: str) -> None:
        if self.members.pop(live.sandbox_id, None) is None:
            return
        _log.info("sandbox leaves", why=why, status=str(live.status), **live.names())
        live.status = Status.STOPPING
        self.graves[live.sandbox_id] = live
        self._observer.left(live)

    async def _remove(self, live: Live, work: Coroutine[Any, Any, None]) -> None:
        self._removing.add(live.sandbox_id)
        try:
            await work
        except (TimeoutError, RuntimeUnavailableError, OSError) as error:
            self.engine_failed(str(error) or "the engine does not remove a sandbox")
        else:
            self.graves.pop(live.sandbox_id, None)
            self.refill()
        finally:
            self._removing.discard(live.sandbox_id)

    def engine_failed(self, why: str) -> float:
        """Remember it; the seconds to leave the engine alone."""
        _log.warning("engine failed", reason=why)
        return self._health.failed(why, self._clock())

    async def close(self) -> None:
        """End everything; nothing is left when this returns, or it is named in the log."""
        self._open = False
        for live in list(self.members.values()):
            self.bury(live, "the manager ends")
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_CLOSE_SECONDS)
        if self.graves:
            _log.error("sandboxes left behind", sandboxes=sorted(self.graves))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("background work failed", exc_info=error)


def _look_at(task: asyncio.Task[None]) -> None:
    """A failed launch is told to those who wait for it; there may be none left."""
    if not task.cancelled():
        task.exception()
