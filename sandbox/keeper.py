"""Housekeeping: leases that end, sandboxes that wear out, and what the engine really has."""

import asyncio
import os
from collections.abc import Callable, Sequence

import structlog

from sandbox import pool, reconcile, wear
from sandbox.confinement import Confinement
from sandbox.engines import Engines
from sandbox.fleet import Fleet
from sandbox.live import Live
from sandbox.paths import RunPaths
from sandbox.pool import Status
from sandbox.readiness import NotReadyError, probe
from sandbox.runtimes.base import RuntimeUnavailableError
from sandbox.settings import ManagerSettings
from sandbox.superseded import Placed, superseded
from sandbox.types import EndReason

_log = structlog.get_logger(__name__)

_GREED_SECONDS = 1.0
_LOST = "the engine does not know it any more"


class Keeper:
    """Looks at everything from time to time and acts on what it sees, not on what it was told."""

    def __init__(
        self,
        settings: ManagerSettings,
        fleet: Fleet,
        engines: Engines,
        clock: Callable[[], float],
        on_worn: Callable[[Live], None],
        on_adopted: Callable[[Live], None],
    ) -> None:
        self._settings = settings
        self._policy = settings.policy
        self._paths = RunPaths(settings.run_dir)
        self._fleet = fleet
        self._engines = engines
        self._clock = clock
        self._on_worn = on_worn
        self._on_adopted = on_adopted
        self._confinement = Confinement(os.sched_getaffinity(0), clock)
        self._strays: set[str] = set()  # seen once; removed when seen again
        self._suspects: set[str] = set()
        self._freezing: set[str] = set()

    # --- leases

    def tick(self) -> None:
        """Freeze, expire, end the worn and the superseded, refill."""
        self._expire()
        self._end_superseded()
        self._freeze_idle()
        self._end_worn()
        self._fleet.retry_graves()
        self._fleet.drop_useless_blanks()
        self._fleet.refill()

    def _members(self) -> list[pool.Member]:
        return [live.member() for live in self._fleet.members.values()]

    def _expire(self) -> None:
        for sandbox_id in pool.to_expire(self._members(), self._policy, self._clock()):
            live = self._fleet.members[sandbox_id]
            self._fleet.stop_soon(live, EndReason.IDLE, "nobody has called it for long")

    def _end_superseded(self) -> None:
        lease = self._policy.lease_seconds
        placed = [
            Placed(
                live.sandbox_id,
                live.spec.api_id,
                live.spec.generation,
                live.ready_at,
                live.renewed_at + lease,
            )
            for live in self._fleet.members.values()
            if live.status is Status.READY and live.spec is not None
        ]
        for sandbox_id in superseded(placed, self._clock()):
            live = self._fleet.members[sandbox_id]
            self._fleet.stop_soon(live, EndReason.STOPPED, "a later one has taken its place")

    def stop(self, sandbox_ids: Sequence[str]) -> None:
        """Those whom somebody gave up and nobody holds any more."""
        for sandbox_id in sandbox_ids:
            live = self._fleet.members.get(sandbox_id)
            if live is not None and live.status in (Status.READY, Status.WORN):
                self._fleet.stop_soon(live, EndReason.STOPPED, "it was retired")

    def _freeze_idle(self) -> None:
        for sandbox_id in pool.to_freeze(self._members(), self._policy, self._clock()):
            if sandbox_id not in self._freezing:
                self._freezing.add(sandbox_id)
                self._fleet.spawn(self._freeze(self._fleet.members[sandbox_id]))

    async def _freeze(self, live: Live) -> None:
        def still_idle() -> bool:
            return pool.may_freeze(live.member(), self._policy, self._clock())

        try:
            await live.freeze(still_idle)
        except RuntimeUnavailableError as error:
            _log.warning("not_frozen", reason=str(error), **live.names())
        finally:
            self._freezing.discard(live.sandbox_id)

    # --- greed

    async def look_for_greed(self) -> None:
        """Keep those who want more processor than their share to few processors."""
        if not self._confinement.is_of_use:
            return
        members = self._fleet.members
        awake = [
            live
            for live in members.values()
            if live.status is not Status.BLANK and not live.frost.frozen
        ]
        await asyncio.gather(*map(self._confine, awake))
        self._confinement.keep(members.keys())

    async def _confine(self, live: Live) -> None:
        handle = live.tether.handle
        if handle is None:
            return
        was = self._confinement.is_confined(live.sandbox_id)
        try:
            async with asyncio.timeout(_GREED_SECONDS):
                share = await handle.throttling()
                if share is None:
                    return
                cores = self._confinement.judge(live.sandbox_id, share, live.resources.cpus)
                if cores is not None:
                    await handle.confine(cores)
        except (TimeoutError, RuntimeUnavailableError) as error:
            if not was:
                _log.warning("not_kept_to_few_processors", reason=str(error), **live.names())
            return
        if self._confinement.is_confined(live.sandbox_id) != was:
            _log.info("kept_to_few_processors" if not was else "let_go", **live.names())

    # --- wear

    async def look_for_wear(self) -> None:
        """Age and memory of all that take calls; what is frozen does not change."""
        for live in list(self._fleet.members.values()):
            if live.status is Status.READY and live.has_lease:
                if not live.frost.frozen:
                    live.memory = await live.tether.memory_bytes()
                if live.baseline is None:  # adopted: what it used at first nobody knows
                    live.baseline = live.memory
                self._judge(live)

    def _judge(self, live: Live) -> None:
        if live.status is not Status.READY or live.sandbox_id not in self._fleet.members:
            return
        why = wear.why_worn(
            self._clock() - live.ready_at,
            self._settings.life_seconds,
            memory=live.memory,
            baseline=live.baseline,
            limit=live.resources.memory_mb * 2**20,
        )
        if why:
            self._retire_worn(live, why)

    def _retire_worn(self, live: Live, why: str) -> None:
        """It leaves the routes and finishes its calls.

        We cannot start the next one ourselves: code and secrets are not kept here. A gateway
        notices at its next renewal, asks for another one, and that takes a warm blank while
        this one still serves the calls in flight.
        """
        _log.info("sandbox_is_worn", why=why, **live.names())
        live.end_words = why
        if pool.is_idle(live.member(), self._policy, self._clock()):
            self._fleet.stop_soon(live, EndReason.WORN, why)
            return
        live.status = Status.WORN
        live.worn_at = self._clock()
        self._on_worn(live)

    def _end_worn(self) -> None:
        now = self._clock()
        for live in list(self._fleet.members.values()):
            lease_ends = live.renewed_at + self._policy.lease_seconds
            if live.status is Status.WORN and wear.may_stop(now, live.worn_at, lease_ends):
                self._fleet.stop_soon(live, EndReason.WORN, live.end_words)

    # --- suspects

    def suspect(self, live: Live) -> None:
        """A call got no answer in time: look at it in a while, when the runner has had its say."""
        if live.sandbox_id not in self._suspects:
            self._suspects.add(live.sandbox_id)
            self._fleet.spawn(self._examine(live))

    async def _examine(self, live: Live) -> None:
        try:
            await asyncio.sleep(self._settings.overdue_seconds)
            if live.status not in (Status.READY, Status.WORN) or live.frost.frozen:
                return
            async with asyncio.timeout(self._settings.probe_seconds):
                await probe(live.socket_path)
        except (TimeoutError, NotReadyError):
            if not live.frost.frozen:
                self._fleet.condemn(live, EndReason.DEADLINE, "a call passed its deadline")
        finally:
            self._suspects.discard(live.sandbox_id)

    # --- what the engine has

    async def take_over(self, boot: str) -> None:
        """What an earlier manager left is adopted or removed; files follow."""
        members = self._fleet.members
        everything = await self._engines.find(self._settings.installation)
        engine_of = {found.sandbox_id: engine for engine, found in everything}
        plan = reconcile.plan(
            (found for _, found in everything if found.sandbox_id not in members),
            reconcile.read_states(self._paths),
            boot,
        )
        outcomes = await asyncio.gather(
            *(engine_of[one.sandbox_id].runtime.remove(one) for one in plan.remove),
            *(self._fleet.adopt(engine_of[one.sandbox_id], one, at) for one, at in plan.adopt),
            return_exceptions=True,
        )
        for live in members.values():
            self._on_adopted(live)
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
        stale = reconcile.sweep(self._paths, set(members))
        _log.info("reconciled", found=len(everything), adopted=len(members), stale_files=stale)

    async def reconcile(self) -> None:
        """Compare members with what the engines know, and end what is on one side only.

        A stray goes when it was seen twice: the first time its launch may just have been given
        up. RuntimeUnavailableError when an engine does not answer.
        """
        expected = [
            live
            for live in self._fleet.members.values()
            if live.status in (Status.BLANK, Status.STARTING, Status.READY, Status.WORN)
        ]
        everything = await self._engines.find(self._settings.installation)
        living = {found.sandbox_id for _, found in everything if found.alive}
        for live in expected:
            if live.sandbox_id not in living:
                live.lost(_LOST)
        ours = self._fleet.members.keys() | self._fleet.graves.keys()
        strays = [(engine, found) for engine, found in everything if found.sandbox_id not in ours]
        for engine, found in strays:
            if found.sandbox_id in self._strays:
                _log.warning("stray_sandbox", sandbox_id=found.sandbox_id)
                await engine.runtime.remove(found)
        self._strays = {found.sandbox_id for _, found in strays}
        reconcile.sweep(self._paths, self._fleet.members.keys() | self._fleet.graves.keys())
