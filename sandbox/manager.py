"""The manager: one sandbox per spec, started once for all who ask, and leases on it."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import structlog

from sandbox import reconcile
from sandbox.fleet import Fleet
from sandbox.health import EngineHealth
from sandbox.live import BlankLostError, LaunchFailedError, Live
from sandbox.logbook import Logbook
from sandbox.paths import RunPaths
from sandbox.pool import Crashes, Status
from sandbox.runtimes.base import Runtime, RuntimeUnavailableError
from sandbox.settings import ManagerSettings
from sandbox.types import (
    Bundle,
    Lease,
    LogLine,
    ManagerStatus,
    ManagerUnavailableError,
    SandboxSpec,
    SandboxStatus,
    StartFailedError,
    Tier,
)

_log = structlog.get_logger(__name__)

_TICK_SECONDS = 1.0
_CHECK_SECONDS = 15.0
_ENGINE_SECONDS = 60.0
_PREPARE_SECONDS = 1800.0  # the first time an image may have to be built
_OPEN_SECONDS = 20.0
_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Opened:
    """A runtime that is prepared, and in words why it is this one."""

    runtime: Runtime
    detail: str


class Manager:
    """Runs in one event loop; state changes only between awaits."""

    def __init__(
        self,
        open_runtime: Callable[[], Awaitable[Opened]],
        settings: ManagerSettings,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._open_runtime = open_runtime
        self._runtime: Runtime | None = None
        self._settings = settings
        self._clock = clock
        self._paths = RunPaths(settings.run_dir)
        self._health = EngineHealth()
        self._fleet = Fleet(settings, self._health, clock, self)
        self._by_spec: dict[SandboxSpec, Live] = {}
        self._starts: dict[SandboxSpec, asyncio.Task[Live]] = {}
        self._crashes: dict[SandboxSpec, Crashes] = {}
        self._last_failure: dict[SandboxSpec, StartFailedError] = {}
        self._logbook = Logbook()
        self._open = asyncio.Event()
        self._closing = False

    # --- what callers ask

    async def acquire(self, spec: SandboxSpec, bundle: Bundle) -> Lease:
        """A lease on the sandbox of this spec; started when there is none, once for all callers."""
        await self._until_open()
        live = self._by_spec.get(spec)
        if live is None:
            start = self._starts.get(spec) or self._begin_start(spec, bundle)
            live = await _result(start)
        return self._lease(live)

    async def find(self, spec: SandboxSpec) -> Lease | None:
        """A lease only when such a sandbox is ready."""
        await self._until_open()
        live = self._by_spec.get(spec)
        return self._lease(live) if live is not None else None

    async def renew(self, sandbox_ids: Sequence[str]) -> dict[str, float]:
        """New time for each that lives; those missing in the answer are gone."""
        await self._until_open()
        wanted = (self._fleet.members.get(sandbox_id) for sandbox_id in sandbox_ids)
        living = [live for live in wanted if live is not None and live.status is Status.READY]
        return {live.sandbox_id: self._lease(live).seconds for live in living}

    async def retire(self, sandbox_id: str) -> None:
        """Stop it now; unknown ones are gone already."""
        await self._until_open()
        live = self._fleet.members.get(sandbox_id)
        if live is not None and live.status is Status.READY:
            await self._fleet.stop(live, "retired")

    async def stop_api(self, api_id: str) -> int:
        """Stop every sandbox of an API, those that are still starting too; how many."""
        await self._until_open()
        starts = [task for spec, task in self._starts.items() if spec.api_id == api_id]
        for task in starts:
            task.cancel()
        await asyncio.gather(*starts, return_exceptions=True)
        living = [live for spec, live in self._by_spec.items() if spec.api_id == api_id]
        await asyncio.gather(*(self._fleet.stop(live, "API stopped") for live in living))
        return len(starts) + len(living)

    def logs(self, api_id: str, tail: int) -> list[LogLine]:
        """Newest lines of the API's sandboxes, the last ended one included."""
        return self._logbook.tail(api_id, tail)

    def status(self) -> ManagerStatus:
        """The manager in one look."""
        now = self._clock()
        return ManagerStatus(
            runtime=self._runtime.name if self._runtime else "none",
            tier=self._runtime.tier if self._runtime else Tier.NONE,
            engine_ok=self._health.ok,
            detail=self._health.detail,
            missing=self._health.missing,
            sandboxes=tuple(
                SandboxStatus(live.sandbox_id, live.spec, live.public_status, now - live.born)
                for live in self._fleet.members.values()
            ),
        )

    # --- starting

    async def _until_open(self) -> None:
        """Until what an earlier manager left is sorted out; a dead engine is told at once."""
        if self._closing:
            raise ManagerUnavailableError("the manager is shutting down")
        if not self._open.is_set() and self._health.failing:
            raise ManagerUnavailableError(self._health.detail)
        try:
            async with asyncio.timeout(_OPEN_SECONDS):
                await self._open.wait()
        except TimeoutError:
            raise ManagerUnavailableError(self._health.detail) from None

    def _lease(self, live: Live) -> Lease:
        live.renewed_at = self._clock()
        return Lease(
            sandbox_id=live.sandbox_id,
            socket_path=str(live.socket_path),
            seconds=self._settings.policy.idle_seconds,
            runtime=self._engine.name,
            tier=self._engine.tier,
        )

    @property
    def _engine(self) -> Runtime:
        if self._runtime is None:
            raise ManagerUnavailableError(self._health.detail)
        return self._runtime

    def _begin_start(self, spec: SandboxSpec, bundle: Bundle) -> asyncio.Task[Live]:
        self._refuse_crash_loop(spec)
        task = asyncio.create_task(self._start(spec, bundle))
        self._starts[spec] = task

        def done(ended: asyncio.Task[Live]) -> None:
            self._starts.pop(spec, None)
            if not ended.cancelled():
                ended.exception()  # looked at here, in case every caller has left

        task.add_done_callback(done)
        return task

    async def _start(self, spec: SandboxSpec, bundle: Bundle) -> Live:
        begin = time.monotonic()
        try:
            live = await self._specialised(spec, bundle)
        except StartFailedError as error:
            self._count_crash(spec)
            self._last_failure[spec] = error
            raise
        except asyncio.CancelledError:
            raise ManagerUnavailableError("the sandbox was stopped while it started") from None
        finally:
            self._fleet.refill()
        self._by_spec[spec] = live
        self._last_failure.pop(spec, None)
        _log.info("sandbox ready", seconds=round(time.monotonic() - begin, 4), **live.names())
        return live

    async def _specialised(self, spec: SandboxSpec, bundle: Bundle) -> Live:
        for _ in range(_ATTEMPTS):
            live = self._fleet.take(spec)
            try:
                await self._fleet.launched(live)
                self._logbook.begin(spec.api_id, live.sandbox_id, live.log)
                await live.specialise(spec, bundle, self._settings.start_seconds)
            except BlankLostError as error:
                self._fleet.bury(live, str(error))
                continue
            except LaunchFailedError as error:
                self._fleet.bury(live, "launch failed")
                raise ManagerUnavailableError(str(error)) from error
            except BaseException as error:
                self._fleet.bury(live, f"start failed: {error}")
                raise
            if live.sandbox_id in self._fleet.members:
                return live
        raise ManagerUnavailableError("blanks keep ending before they take the code")

    def _refuse_crash_loop(self, spec: SandboxSpec) -> None:
        wait = self._crashes.get(spec, Crashes()).wait(self._clock())
        if wait <= 0:
            return
        if spec in self._last_failure:
            raise self._last_failure[spec]
        raise ManagerUnavailableError(f"it keeps crashing; the next start is in {wait:.0f} s")

    def _count_crash(self, spec: SandboxSpec) -> None:
        self._crashes[spec] = self._crashes.get(spec, Crashes()).add(self._clock())

    # --- what the fleet tells

    def crashed(self, live: Live) -> None:
        """A ready sandbox ended by itself; the next call starts a fresh one."""
        if live.spec is not None:
            self._count_crash(live.spec)
        live.log.add(time.time(), "stderr", f"[the sandbox ended: {live.end_reason}]")

    def left(self, live: Live) -> None:
        """It takes no more calls."""
        if live.spec is None:
            return
        if self._by_spec.get(live.spec) is live:
            del self._by_spec[live.spec]
        self._logbook.end(live.spec.api_id, live.sandbox_id)

    # --- life

    async def run(self) -> None:
        """Sort out what an earlier manager left, then keep house until cancelled."""
        await self._prepare()
        checked = self._clock()
        while True:
            self.tick()
            await asyncio.sleep(_TICK_SECONDS)
            if self._clock() - checked >= _CHECK_SECONDS:
                checked = self._clock()
                await self._check_engine()

    def tick(self) -> None:
        """Expire, retry what could not be removed, refill, forget old crashes."""
        self._fleet.expire()
        self._fleet.retry_graves()
        self._fleet.refill()
        now = self._clock()
        for spec in [spec for spec, crashes in self._crashes.items() if crashes.is_over(now)]:
            del self._crashes[spec]
            self._last_failure.pop(spec, None)

    async def close(self) -> None:
        """Stop everything; nothing is left when this returns."""
        self._closing = True
        starts = list(self._starts.values())
        for start in starts:
            start.cancel()
        await asyncio.gather(*starts, return_exceptions=True)
        await self._fleet.close()
        if self._runtime is not None:
            await self._runtime.close()

    async def _prepare(self) -> None:
        while not self._open.is_set():
            try:
                async with asyncio.timeout(_PREPARE_SECONDS):
                    if self._runtime is None:
                        opened = await self._open_runtime()
                        self._runtime = opened.runtime
                        self._health.about = opened.detail
                        self._fleet.use(opened.runtime)
                    self._health.missing = await self._engine.check()
                    await self._take_over()
            except (TimeoutError, RuntimeUnavailableError, OSError) as error:
                why = str(error) or "the engine did not answer in time"
                await asyncio.sleep(self._fleet.engine_failed(why))
            else:
                self._health.works()
                self._open.set()
                self._fleet.open()

    async def _take_over(self) -> None:
        """What an earlier manager left is adopted or removed; files follow."""
        members = self._fleet.members
        found = await self._engine.find(self._settings.installation)
        plan = reconcile.plan(
            (one for one in found if one.sandbox_id not in members),
            reconcile.read_states(self._paths),
        )
        outcomes = await asyncio.gather(
            *(self._engine.remove(one) for one in plan.remove),
            *(self._fleet.adopt(one, state) for one, state in plan.adopt),
            return_exceptions=True,
        )
        for live in members.values():
            self._route_adopted(live)
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
        stale = reconcile.sweep(self._paths, set(members))
        _log.info("reconciled", found=len(found), adopted=len(members), stale_files=stale)

    def _route_adopted(self, live: Live) -> None:
        if live.spec is not None and live.spec not in self._by_spec:
            self._by_spec[live.spec] = live
            self._logbook.begin(live.spec.api_id, live.sandbox_id, live.log)

    async def _check_engine(self) -> None:
        try:
            async with asyncio.timeout(_ENGINE_SECONDS):
                self._health.missing = await self._engine.check()
        except (TimeoutError, RuntimeUnavailableError) as error:
            self._fleet.engine_failed(str(error) or "the engine does not answer")
        else:
            self._health.works()


async def _result(start: asyncio.Task[Live]) -> Live:
    """The start's outcome; a caller who leaves does not end it for the others."""
    try:
        return await asyncio.shield(start)
    except asyncio.CancelledError:
        if start.cancelled():  # withdrawn before it began; the caller itself was not cancelled
            raise ManagerUnavailableError("the sandbox was stopped while it started") from None
        raise
