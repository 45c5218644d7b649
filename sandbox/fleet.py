"""All sandboxes of this manager: launch, hand out, refill, and remove until they are gone."""

import asyncio
import contextlib
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Protocol

import structlog

from sandbox import pool
from sandbox.engines import Engine, Engines
from sandbox.faults import LaunchFailedError
from sandbox.live import Live, Shared
from sandbox.outlets import Outlets
from sandbox.paths import RunPaths
from sandbox.pool import Key, Status
from sandbox.reconcile import State
from sandbox.runtimes.base import Found, RuntimeUnavailableError
from sandbox.settings import ManagerSettings
from sandbox.types import CapacityError, EndReason, Resources, SandboxSpec

_log = structlog.get_logger(__name__)

_STOP_SECONDS = 2.0
_CLOSE_SECONDS = 25.0
_KEPT_KEYS = 8
_DEFER_SECONDS = 1.0  # a stream of starts must not keep the pool empty for ever


class Observer(Protocol):
    """Who routes to the sandboxes and must know when one leaves."""

    def crashed(self, live: Live) -> None:
        """A ready one ended by itself; `left` and `ended` follow."""
        ...

    def left(self, live: Live) -> None:
        """It takes no more calls, whatever the reason."""
        ...

    def ended(self, live: Live) -> None:
        """Why it ended is known now: `live.end`."""
        ...


class Fleet:
    """Members count; graves are those the engine still has to remove."""

    def __init__(
        self,
        settings: ManagerSettings,
        engines: Engines,
        outlets: Outlets,
        boot: str,
        clock: Callable[[], float],
        observer: Observer,
        starts_under_way: Callable[[], int],
    ) -> None:
        self.members: dict[str, Live] = {}
        self.graves: dict[str, Live] = {}
        self._settings = settings
        self._policy = settings.policy
        self._engines = engines
        self._clock = clock
        self._observer = observer
        self._starts_under_way = starts_under_way
        self._deferred_since: float | None = None
        self._shared = Shared(
            RunPaths(settings.run_dir),
            settings.installation,
            boot,
            outlets,
            self._ended,
            next(iter(settings.client_uids), None),
        )
        self._kept: OrderedDict[Key, Path | None] = OrderedDict()  # beside the default key
        self._tasks: set[asyncio.Task[None]] = set()
        self._removing: set[str] = set()
        self._open = False

    # --- in

    def open(self) -> None:
        """From now on blanks are kept ready."""
        self._open = True
        self.refill()

    def take(
        self, spec: SandboxSpec, engine: Engine, layer: Path | None, *, exact: bool = False
    ) -> Live:
        """A sandbox for this spec alone: a blank, one on its way, or a new one.

        `exact`: not one that must be resized. Call `refill` once it has started: until then
        the next blank would only slow it down. Raises CapacityError.
        """
        self._make_room_of_tenant(spec.tenant_id)
        key = Key(engine.runtime.tier, spec.layer, spec.resources.tmp_mb)
        self._keep(key, layer)
        chosen = pool.choose_blank(self._snapshot(), key, spec.resources)
        if chosen and exact and self.members[chosen].resources != spec.resources:
            chosen = None
        live = self.members[chosen] if chosen else self._new(key, spec.resources, layer)
        live.reserve(spec)
        live.renewed_at = self._clock()
        return live

    def take_builder(self, spec: SandboxSpec, engine: Engine, layer: Path | None) -> Live:
        """A new one for code of our own, which no other start may get. Raises CapacityError."""
        key = Key(engine.runtime.tier, "builder", spec.resources.tmp_mb)
        live = self._new(key, spec.resources, layer)
        live.reserve(spec)
        return live

    async def launched(self, live: Live) -> None:
        """Wait until its runner is warm; LaunchFailedError."""
        if live.launched is not None:
            await asyncio.shield(live.launched)

    def _make_room_of_tenant(self, tenant_id: str) -> None:
        members = self._snapshot()
        if not pool.tenant_is_full(members, self._policy, tenant_id):
            return
        victim = pool.choose_own_victim(members, self._policy, tenant_id, self._clock())
        if victim is None:
            raise CapacityError(
                f"all {self._policy.tenant_max} sandboxes of this tenant are in use"
            )
        self.bury(self.members[victim], EndReason.EVICTED, "its tenant needed the room")

    def _new(self, key: Key, resources: Resources, layer: Path | None) -> Live:
        members = self._snapshot()
        if not pool.has_room(members, self._policy):
            victim = pool.choose_victim(members, self._policy, self._clock())
            if victim is None:
                raise CapacityError(f"all {self._policy.maximum} sandboxes are in use")
            self.bury(self.members[victim], EndReason.EVICTED, "another one needed the room")
        return self._add(key, resources, layer)

    def _add(self, key: Key, resources: Resources, layer: Path | None) -> Live:
        live = self._make(secrets.token_hex(8), key, resources, layer)
        live.launched = asyncio.create_task(self._launch(live))
        live.launched.add_done_callback(_look_at)
        self.members[live.sandbox_id] = live
        return live

    def _make(self, sandbox_id: str, key: Key, resources: Resources, layer: Path | None) -> Live:
        runtime = self._engines.of_tier(key.tier).runtime
        live = Live(sandbox_id, key, resources, runtime, self._shared, layer)
        live.born = self._clock()
        return live

    async def _launch(self, live: Live) -> None:
        try:
            await live.launch(self._settings.launch_seconds)
        except LaunchFailedError as error:
            if live.status is Status.LAUNCHING:
                self._engines.failed(live.key.tier, str(error))
            raise
        self._engines.of_tier(live.key.tier).health.works()

    async def adopt(self, engine: Engine, found: Found, state: State) -> bool:
        """Take over one in service, or remove it."""
        key = Key(engine.runtime.tier, state.spec.layer, state.spec.resources.tmp_mb)
        live = self._make(found.sandbox_id, key, state.spec.resources, None)
        if not await live.adopt(found, state):
            with contextlib.suppress(TimeoutError, RuntimeUnavailableError):
                await live.destroy()
            await engine.runtime.remove(found)
            return False
        live.renewed_at = self._clock()
        live.born = live.ready_at = self._clock() - max(0.0, time.time() - state.began)
        live.reserved = True
        self.members[live.sandbox_id] = live
        return True

    # --- blanks

    def _keep(self, key: Key, layer: Path | None) -> None:
        """Blanks like this one are of use from now on."""
        if key == self._default_key():
            return
        self._kept[key] = layer
        self._kept.move_to_end(key)
        while len(self._kept) > _KEPT_KEYS:
            self._kept.popitem(last=False)

    def _default_key(self) -> Key | None:
        default = self._engines.default
        return Key(default.runtime.tier) if default else None

    def _wanted(self) -> dict[Key, int]:
        """How many blanks of each key: one beside the default while something like it lives."""
        default = self._default_key()
        if default is None or not self._policy.blanks:
            return {}
        in_use = {live.key for live in self.members.values() if live.spec is not None}
        return {default: self._policy.blanks} | {key: 1 for key in self._kept if key in in_use}

    def refill(self) -> None:
        """Launch what the pool lacks, but not into a start that is under way."""
        if not self._open or self._defers():
            return
        for key in pool.blanks_to_launch(self._snapshot(), self._policy, self._wanted()):
            if self._engines.of_tier(key.tier).health.may_try(self._clock()):
                live = self._add(key, Resources(tmp_mb=key.tmp_mb), self._kept.get(key))
                self.spawn(self._settle(live))

    def _defers(self) -> bool:
        now = self._clock()
        if self._starts_under_way() == 0:
            self._deferred_since = None
            return False
        if self._deferred_since is None:
            self._deferred_since = now
        if now - self._deferred_since < _DEFER_SECONDS:
            return True
        self._deferred_since = None
        return False

    def drop_useless_blanks(self) -> None:
        """End blanks of a key that nobody uses any more."""
        wanted = self._wanted()
        for live in list(self.members.values()):
            if pool.is_free(live.member()) and live.key not in wanted:
                self.bury(live, None, "no use for a blank like this")

    def layers_in_use(self) -> set[str]:
        """Names of the layers that sandboxes have or blanks will get."""
        named = {live.spec.layer for live in self.members.values() if live.spec is not None}
        paths = [live.layer for live in self.members.values()] + list(self._kept.values())
        return (named | {path.name for path in paths if path is not None}) - {""}

    async def _settle(self, live: Live) -> None:
        """After a blank's launch: the next one when it went well, else remove it."""
        try:
            await self.launched(live)
        except LaunchFailedError as error:
            _log.info("no_blank", reason=str(error), **live.names())
        finally:
            if live.status is Status.LAUNCHING and not live.reserved:
                self.bury(live, None, "launch failed")
        self.refill()

    def _snapshot(self) -> list[pool.Member]:
        return [live.member() for live in self.members.values()]

    # --- out

    async def stop(self, live: Live, end: EndReason, why: str) -> None:
        """Unroutable at once, then a moment for its own shutdown, then gone."""
        self._leave(live, end, why)
        await self._remove(live, live.stop(_STOP_SECONDS))

    def stop_soon(self, live: Live, end: EndReason, why: str) -> None:
        """The same in the background."""
        self._leave(live, end, why)
        self.spawn(self._remove(live, live.stop(_STOP_SECONDS)))

    def bury(self, live: Live, end: EndReason | None, why: str) -> None:
        """Unroutable at once, removed in the background. No `end`: it never was in service."""
        self._leave(live, end, why)
        self.spawn(self._remove(live, live.destroy()))

    def condemn(self, live: Live, end: EndReason, why: str) -> None:
        """End one that misbehaves: as if it had crashed, but we know why."""
        if live.sandbox_id in self.members:
            live.hearing.end, live.hearing.reason = end, why
            self._observer.crashed(live)
            self.bury(live, end, why)

    def retry_graves(self) -> None:
        """Ask the engine again for those it did not remove."""
        for live in list(self.graves.values()):
            health = self._engines.of_tier(live.key.tier).health
            if live.sandbox_id not in self._removing and health.may_try(self._clock()):
                self.spawn(self._remove(live, live.destroy()))

    def _ended(self, live: Live) -> None:
        """It ended without being told to. One that is starting is its starter's business."""
        if live.sandbox_id not in self.members:
            return
        if live.status in (Status.READY, Status.WORN):
            self._observer.crashed(live)
            self._leave(live, None, f"ended: {live.hearing.reason}")
            self.spawn(self._after_crash(live))
        elif live.status is Status.BLANK and not live.reserved:
            self.bury(live, None, f"ended: {live.hearing.reason}")

    async def _after_crash(self, live: Live) -> None:
        await live.explain_end()
        self._observer.ended(live)
        await self._remove(live, live.destroy())

    def _leave(self, live: Live, end: EndReason | None, why: str) -> None:
        if self.members.pop(live.sandbox_id, None) is None:
            return
        _log.info("sandbox_leaves", why=why, status=str(live.status), **live.names())
        live.status = Status.STOPPING
        self.graves[live.sandbox_id] = live
        self._observer.left(live)
        if end is not None:
            live.end, live.end_words = end, why
            self._observer.ended(live)

    async def _remove(self, live: Live, work: Coroutine[Any, Any, None]) -> None:
        self._removing.add(live.sandbox_id)
        try:
            await work
        except (TimeoutError, RuntimeUnavailableError, OSError) as error:
            why = str(error) or "the engine does not remove a sandbox"
            self._engines.failed(live.key.tier, why)
        else:
            self.graves.pop(live.sandbox_id, None)
            self.refill()
        finally:
            self._removing.discard(live.sandbox_id)

    async def close(self) -> None:
        """End everything; nothing is left when this returns, or it is named in the log."""
        self._open = False
        for live in list(self.members.values()):
            self.bury(live, None, "the manager ends")
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_CLOSE_SECONDS)
        if self.graves:
            _log.error("sandboxes_left_behind", sandboxes=sorted(self.graves))

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Work on a member that nobody waits for; `close` does."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("background_work_failed", exc_info=error)


def _look_at(task: asyncio.Task[None]) -> None:
    """A failed launch is told to those who wait for it; there may be none left."""
    if not task.cancelled():
        task.exception()
