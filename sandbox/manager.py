"""The manager: one sandbox per spec, started once for all who ask, and leases on it."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

import structlog

from sandbox import reconcile
from sandbox.engines import Engines, Opened
from sandbox.fairness import Gate
from sandbox.fleet import Fleet
from sandbox.history import History
from sandbox.holders import Holders
from sandbox.keeper import Keeper
from sandbox.layers.builder import Builder
from sandbox.layers.layers import Layers
from sandbox.live import Live
from sandbox.logbook import Logbook
from sandbox.outlets import Outlets
from sandbox.paths import RunPaths
from sandbox.pool import Status
from sandbox.runtimes.base import RuntimeUnavailableError
from sandbox.settings import ManagerSettings
from sandbox.starting import Starter, result_of
from sandbox.troubles import Troubles
from sandbox.types import (
    AppDocument,
    Bundle,
    DependencyError,
    EgressPolicy,
    EndReason,
    Lease,
    Lock,
    LogLine,
    ManagerStatus,
    ManagerUnavailableError,
    SandboxSpec,
    SandboxStatus,
    StartTimes,
    Tier,
)

_log = structlog.get_logger(__name__)

_TICK_SECONDS = 1.0
_WEAR_TICKS = 5
_CHECK_TICKS = 15
_RECONCILE_TICKS = 30
_RECONCILE_SECONDS = 60.0
_PREPARE_SECONDS = 1800.0  # the first time an image may have to be built
_OPEN_SECONDS = 20.0
_STARTS_AT_ONCE, _STARTS_OF_A_TENANT = 8, 4
_TRIES = 3

MakeLayers = Callable[[Builder, Callable[[], set[str]]], Layers]


class Manager:
    """Runs in one event loop; state changes only between awaits."""

    def __init__(
        self,
        open_runtimes: Callable[[], Awaitable[Opened]],
        settings: ManagerSettings,
        clock: Callable[[], float] = time.monotonic,
        make_layers: MakeLayers | None = None,
    ) -> None:
        self._open_runtimes = open_runtimes
        self._settings = settings
        self._clock = clock
        self._paths = RunPaths(settings.run_dir)
        self._boot = reconcile.boot_id()
        self._engines = Engines(clock)
        self._outlets = Outlets(self._paths, clock, self._said)
        self._gate = Gate(_STARTS_AT_ONCE, _STARTS_OF_A_TENANT)
        self._troubles = Troubles()
        self._history = History()
        self._holders = Holders()
        self._logbook = Logbook()
        self._fleet = Fleet(
            settings,
            self._engines,
            self._outlets,
            self._boot,
            clock,
            self,
            lambda: self._gate.running,
        )
        self._starter = Starter(
            settings,
            self._fleet,
            self._engines,
            self._outlets,
            self._gate,
            self._troubles,
            self._history,
            self._logbook,
            clock,
        )
        self._keeper = Keeper(
            settings, self._fleet, self._engines, clock, self._unroute, self._route_adopted
        )
        self._layers = (
            make_layers(self._starter, self._fleet.layers_in_use) if make_layers else None
        )
        self._starter.layers = self._layers
        self._by_spec: dict[SandboxSpec, Live] = {}
        self._open = asyncio.Event()
        self._closing = False

    # --- leases

    async def acquire(self, spec: SandboxSpec, bundle: Bundle, holder: int = 0) -> Lease:
        """A lease on the sandbox of this spec; started when there is none, once for all callers."""
        await self._until_open()
        for _ in range(_TRIES):
            live = self._by_spec.get(spec)
            if live is None:
                return await self._start(spec, bundle, holder)
            self._complete(live, bundle)
            if await self._wake(live):
                return self._lease(live, holder)
        raise ManagerUnavailableError("sandboxes of this kind keep ending")

    async def find(self, spec: SandboxSpec, holder: int = 0) -> Lease | None:
        """A lease only when such a sandbox is there; a frozen one is thawed."""
        await self._until_open()
        live = self._by_spec.get(spec)
        if live is None or live.record.lacks_secrets or not await self._wake(live):
            return None
        return self._lease(live, holder)

    async def renew(self, sandbox_ids: Sequence[str], holder: int = 0) -> dict[str, float]:
        """New time for each that takes calls; what is missing in the answer is to be given up."""
        await self._until_open()
        wanted = (self._fleet.members.get(sandbox_id) for sandbox_id in sandbox_ids)
        living = [live for live in wanted if live is not None and not live.record.lacks_secrets]
        awake = await asyncio.gather(*(self._wake(live) for live in living))
        pairs = zip(living, awake, strict=True)
        return {live.sandbox_id: self._lease(live, holder).seconds for live, ok in pairs if ok}

    async def _start(self, spec: SandboxSpec, bundle: Bundle, holder: int) -> Lease:
        start, is_ours = self._starter.under_way(spec), False
        if start is None:
            start, is_ours = self._starter.begin(spec, bundle, self._route), True
        live, times = await result_of(start)
        return self._lease(live, holder, times if is_ours else None)

    async def _wake(self, live: Live) -> bool:
        """Whether calls may be sent to it; from here on it is not frozen for a lease's time."""
        live.renewed_at = self._clock()
        if live.frost.frozen:
            try:
                if await live.thaw():
                    self._history.thawed()
            except RuntimeUnavailableError as error:
                self._engines.failed(live.key.tier, str(error))
                self._fleet.bury(live, EndReason.STOPPED, f"it could not be thawed: {error}")
        return live.status is Status.READY and live.sandbox_id in self._fleet.members

    def _lease(self, live: Live, holder: int, times: StartTimes | None = None) -> Lease:
        live.renewed_at = self._clock()
        policy = self._settings.policy
        # the holder counts from when our answer arrives, so its lease ends a moment later
        until = live.renewed_at + policy.lease_seconds + policy.freeze_seconds
        self._holders.take(live.sandbox_id, holder, until)
        return Lease(
            sandbox_id=live.sandbox_id,
            socket_path=str(live.socket_path),
            seconds=self._settings.policy.lease_seconds,
            runtime=live.runtime.name,
            tier=live.key.tier,
            times=times,
        )

    def _complete(self, live: Live, bundle: Bundle) -> None:
        """An adopted sandbox gets the secrets that were not written down."""
        if live.record.lacks_secrets and live.spec is not None:
            live.record.set_egress(bundle.egress)
            self._outlets.update(live.spec.api_id, bundle.egress)

    # --- what else callers ask

    async def retire(self, sandbox_id: str) -> None:
        """Stop it now, whatever it is doing; unknown ones are gone already."""
        await self._until_open()
        live = self._fleet.members.get(sandbox_id)
        if live is not None and live.status in (Status.READY, Status.WORN):
            await self._fleet.stop(live, EndReason.STOPPED, "it was retired")

    async def release(self, sandbox_id: str, holder: int = 0) -> None:
        """This holder sends it no more calls; it stops when nobody else may send it any."""
        await self._until_open()
        if self._holders.release(sandbox_id, holder, self._clock()):
            await self.retire(sandbox_id)

    async def document(self, sandbox_id: str) -> AppDocument:
        """What the app in a sandbox says of its own interface; takes some seconds at most."""
        live = self._fleet.members.get(sandbox_id)
        if live is None or not await self._wake(live):
            raise ManagerUnavailableError("the sandbox is not there any more")
        return await live.document()

    async def stop_api(self, api_id: str) -> int:
        """Stop every sandbox of an API, those that are still starting too; how many."""
        await self._until_open()
        started = await self._starter.cancel(api_id)
        living = [
            live
            for live in self._fleet.members.values()
            if live.spec is not None and live.spec.api_id == api_id
        ]
        await asyncio.gather(
            *(self._fleet.stop(live, EndReason.STOPPED, "its API was stopped") for live in living)
        )
        return started + len(living)

    async def overdue(self, sandbox_id: str) -> None:
        """A call passed its deadline unanswered: find out later whether the sandbox is dead."""
        live = self._fleet.members.get(sandbox_id)
        if live is not None and live.status in (Status.READY, Status.WORN):
            self._keeper.suspect(live)

    async def set_egress(self, api_id: str, policy: EgressPolicy) -> None:
        """Where the API's sandboxes may connect to from now on, the living ones too."""
        self._outlets.set(api_id, policy)
        for live in self._fleet.members.values():
            if live.spec is not None and live.spec.api_id == api_id:
                live.record.set_egress(policy)

    async def lock(self, requirements: Sequence[str]) -> Lock:
        """Resolve dependencies and make their layer. DependencyError for their owner."""
        await self._until_open()
        if self._layers is None:
            raise DependencyError("this manager cannot install dependencies")
        return await self._layers.lock(requirements)

    def sandboxes(self, api_id: str) -> list[SandboxStatus]:
        """The API's living sandboxes and the last that ended."""
        living = (live for live in self._fleet.members.values() if live.spec is not None)
        mine = [self._status(live) for live in living if live.spec and live.spec.api_id == api_id]
        return mine + self._history.of(api_id)

    def logs(self, api_id: str, tail: int) -> list[LogLine]:
        """Newest lines of the API's sandboxes, the last ended one included."""
        return self._logbook.tail(api_id, tail)

    def status(self) -> ManagerStatus:
        """The manager in one look."""
        default = self._engines.default
        health = self._engines.health
        return ManagerStatus(
            runtime=default.runtime.name if default else "none",
            tier=default.runtime.tier if default else Tier.NONE,
            engine_ok=health.ok,
            detail=health.detail,
            missing=health.missing,
            sandboxes=tuple(self._status(live) for live in self._fleet.members.values()),
            tiers=self._engines.tiers(),
            pool=self._history.pool(),
        )

    def _status(self, live: Live) -> SandboxStatus:
        return live.describe(self._clock())

    async def _until_open(self) -> None:
        """Until what an earlier manager left is sorted out; a dead engine is told at once."""
        if self._closing:
            raise ManagerUnavailableError("the manager is shutting down")
        if not self._open.is_set() and self._engines.health.failing:
            raise ManagerUnavailableError(self._engines.health.detail)
        try:
            async with asyncio.timeout(_OPEN_SECONDS):
                await self._open.wait()
        except TimeoutError:
            raise ManagerUnavailableError(self._engines.health.detail) from None

    # --- what the fleet and the outlets tell

    def _route(self, live: Live) -> None:
        if live.spec is not None:
            self._by_spec[live.spec] = live

    def _unroute(self, live: Live) -> None:
        if live.spec is not None and self._by_spec.get(live.spec) is live:
            del self._by_spec[live.spec]

    def crashed(self, live: Live) -> None:
        """A ready sandbox ended by itself; the next call starts a fresh one, or waits a while."""
        if live.spec is not None and self._by_spec.get(live.spec) is live:
            now, end = self._clock(), live.hearing.end or EndReason.CRASH
            lived = now - live.ready_at
            self._troubles.crashed(live.spec, now, lived, end, live.hearing.reason)

    def left(self, live: Live) -> None:
        """It takes no more calls."""
        self._unroute(live)
        self._holders.forget(live.sandbox_id)
        if live.spec is not None:
            self._logbook.end(live.spec.api_id, live.sandbox_id)

    def ended(self, live: Live) -> None:
        """Why it ended is known."""
        if live.spec is None or live.end is None:
            return
        live.log.note("stderr", f"[the sandbox ended: {live.end}: {live.end_words}]")
        self._history.ended(live.describe(self._clock()))
        self._troubles.explained(live.spec, live.end, live.end_words)
        _log.info("sandbox_ended", **live.end.log_context(), **live.names())

    def _said(self, sandbox_id: str, text: str) -> None:
        """Door or worker has something to tell the owner."""
        live = self._fleet.members.get(sandbox_id)
        if live is not None:
            live.log.note("egress", text)

    # --- life

    async def run(self) -> None:
        """Sort out what an earlier manager left, then keep house until cancelled."""
        outlets = asyncio.create_task(self._outlets.run())
        try:
            await self._prepare()
            if self._layers is not None:
                await self._layers.sweep()
            ticks = 0
            while True:
                self.tick()
                await asyncio.sleep(_TICK_SECONDS)
                ticks += 1
                await self._now_and_then(ticks)
        finally:
            outlets.cancel()
            await asyncio.gather(outlets, return_exceptions=True)

    def tick(self) -> None:
        """What is due."""
        self._keeper.tick()
        self._keeper.stop(self._holders.due(self._clock()))
        self._troubles.forget_old(self._clock())

    async def look_for_wear(self) -> None:
        """Replace what is old or has grown."""
        await self._keeper.look_for_wear()

    async def reconcile(self) -> None:
        """What the engine says is the truth."""
        try:
            async with asyncio.timeout(_RECONCILE_SECONDS):
                await self._keeper.reconcile()
        except (TimeoutError, RuntimeUnavailableError, OSError) as error:
            _log.warning("not_reconciled", reason=str(error) or "the engine did not answer")

    async def _now_and_then(self, ticks: int) -> None:
        await self._keeper.look_for_greed()
        if ticks % _WEAR_TICKS == 0:
            await self.look_for_wear()
        if ticks % _CHECK_TICKS == 0:
            await self._check_engines()
        if ticks % _RECONCILE_TICKS == 0:
            await self.reconcile()

    async def close(self) -> None:
        """Stop everything; nothing is left when this returns."""
        self._closing = True
        if self._layers is not None:
            await self._layers.close()
        await self._starter.cancel()
        await self._fleet.close()
        await self._engines.close()

    async def _prepare(self) -> None:
        while not self._open.is_set():
            try:
                async with asyncio.timeout(_PREPARE_SECONDS):
                    if self._engines.default is None:
                        self._engines.use(await self._open_runtimes())
                    await self._engines.check()
                    await self._keeper.take_over(self._boot)
            except (TimeoutError, RuntimeUnavailableError, OSError) as error:
                why = str(error) or "the engine did not answer in time"
                await asyncio.sleep(self._engines.opening_failed(why))
            else:
                self._engines.health.works()
                self._open.set()
                self._fleet.open()

    def _route_adopted(self, live: Live) -> None:
        if live.spec is not None and live.spec not in self._by_spec:
            self._by_spec[live.spec] = live
            self._logbook.begin(live.spec.api_id, live.sandbox_id, live.log)

    async def _check_engines(self) -> None:
        try:
            await self._engines.check()
        except RuntimeUnavailableError as error:
            self._engines.opening_failed(str(error))
        else:
            self._engines.health.works()
