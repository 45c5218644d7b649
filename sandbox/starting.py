"""One start per spec for all who ask: its turn, its layer, its blank, its code."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Protocol

import structlog

from sandbox.engines import Engine, Engines
from sandbox.fairness import Gate, Slot, held
from sandbox.faults import BlankLostError, LaunchFailedError, MisfitError
from sandbox.fleet import Fleet
from sandbox.history import History
from sandbox.layers.builder import BUILDER_CALL_SECONDS
from sandbox.live import Live
from sandbox.logbook import Logbook
from sandbox.orders import Assignment
from sandbox.outlets import Outlets
from sandbox.phases import Stopwatch
from sandbox.pool import Status
from sandbox.settings import ManagerSettings
from sandbox.troubles import Troubles
from sandbox.types import (
    Bundle,
    DependencyError,
    EgressPolicy,
    Lock,
    ManagerUnavailableError,
    Resources,
    SandboxSpec,
    StartFailedError,
    StartTimes,
)

_log = structlog.get_logger(__name__)

_ATTEMPTS = 3
# a start keeps its slot while it is our work; what user code does with its time is its own
_TURN_SECONDS = 1.0


class LayerSource(Protocol):
    """Where locked dependencies come from."""

    async def ensure(self, lock: Lock) -> Path:
        """The folder of an installed lock; made again when it was lost. DependencyError."""
        ...


class Starter:
    """Starts sandboxes; knows nothing of leases."""

    def __init__(
        self,
        settings: ManagerSettings,
        fleet: Fleet,
        engines: Engines,
        outlets: Outlets,
        gate: Gate,
        troubles: Troubles,
        history: History,
        logbook: Logbook,
        clock: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._fleet = fleet
        self._engines = engines
        self._outlets = outlets
        self._gate = gate
        self._troubles = troubles
        self._history = history
        self._logbook = logbook
        self._clock = clock
        self._starts: dict[SandboxSpec, asyncio.Task[tuple[Live, StartTimes]]] = {}
        self.layers: LayerSource | None = None

    # --- starts

    def under_way(self, spec: SandboxSpec) -> "asyncio.Task[tuple[Live, StartTimes]] | None":
        """The start of this spec, when somebody has begun it."""
        return self._starts.get(spec)

    def begin(
        self, spec: SandboxSpec, bundle: Bundle, on_ready: Callable[[Live], None]
    ) -> "asyncio.Task[tuple[Live, StartTimes]]":
        """Start it; raises at once what speaks against trying."""
        self._troubles.refuse(spec, self._clock())
        engine = self._engines.reaching(spec.floor)
        task = asyncio.create_task(self._start(spec, bundle, engine, on_ready))
        self._starts[spec] = task

        def done(ended: "asyncio.Task[tuple[Live, StartTimes]]") -> None:
            self._starts.pop(spec, None)
            if not ended.cancelled():
                ended.exception()  # looked at here, in case every caller has left

        task.add_done_callback(done)
        return task

    async def cancel(self, api_id: str | None = None) -> int:
        """Give up the starts of an API, or all; how many."""
        starts = [task for spec, task in self._starts.items() if api_id in (None, spec.api_id)]
        for task in starts:
            task.cancel()
        await asyncio.gather(*starts, return_exceptions=True)
        return len(starts)

    async def _start(
        self,
        spec: SandboxSpec,
        bundle: Bundle,
        engine: Engine,
        on_ready: Callable[[Live], None],
    ) -> tuple[Live, StartTimes]:
        watch = Stopwatch()
        try:
            layer = await self._layer(spec, bundle)
            with held(await self._gate.enter(spec.tenant_id)) as slot:
                watch.lap("queued")
                live = await self._specialised(spec, bundle, engine, layer, watch, slot)
        except StartFailedError as error:
            self._history.failed()
            self._troubles.start_failed(spec, self._clock(), error)
            raise
        except asyncio.CancelledError:
            raise ManagerUnavailableError("the sandbox was stopped while it started") from None
        finally:
            self._fleet.refill()
        self._troubles.started(spec)
        self._history.started(watch.times())
        on_ready(live)
        self._fleet.spawn(_measure(live))
        _log.info("sandbox_ready", tier=str(live.key.tier), **watch.log_fields(), **live.names())
        return live, watch.times()

    async def _layer(self, spec: SandboxSpec, bundle: Bundle) -> Path | None:
        if not spec.layer:
            return None
        if self.layers is None:
            raise DependencyError("this manager cannot install dependencies")
        return await self.layers.ensure(Lock(spec.layer, bundle.lock, ()))

    async def _specialised(
        self,
        spec: SandboxSpec,
        bundle: Bundle,
        engine: Engine,
        layer: Path | None,
        watch: Stopwatch,
        slot: Slot,
    ) -> Live:
        exact = False
        for _ in range(_ATTEMPTS):
            live = self._fleet.take(spec, engine, layer, exact=exact)
            watch.is_warm = live.status is Status.BLANK
            try:
                await self._fleet.launched(live)
                watch.lap("claimed")
                self._logbook.begin(spec.api_id, live.sandbox_id, live.log)
                await self._hand_in(live, self._order(spec, bundle), watch, slot)
            except BlankLostError as error:
                self._fleet.bury(live, None, str(error))
                exact = exact or isinstance(error, MisfitError)
                continue
            except LaunchFailedError as error:
                self._fleet.bury(live, None, "launch failed")
                raise ManagerUnavailableError(str(error)) from error
            except BaseException as error:
                self._fleet.bury(live, None, f"start failed: {type(error).__name__}")
                raise
            if live.sandbox_id in self._fleet.members:
                live.ready_at = live.renewed_at = self._clock()
                return live
        raise ManagerUnavailableError("blanks keep ending before they take the code")

    async def _hand_in(self, live: Live, order: Assignment, watch: Stopwatch, slot: Slot) -> None:
        turn = asyncio.get_running_loop().call_later(_TURN_SECONDS, slot.release)
        try:
            await live.specialise(order, watch)
        finally:
            turn.cancel()

    def _order(self, spec: SandboxSpec, bundle: Bundle) -> Assignment:
        policy = self._outlets.in_force(spec.api_id, bundle.egress)
        return Assignment(
            spec,
            replace(bundle, egress=policy),
            self._settings.start_seconds,
            self._settings.call_cpu_seconds,
            self._outlets.certificate(policy),
        )

    # --- builders of layers

    @asynccontextmanager
    async def throwaway(
        self,
        code: str,
        egress_hosts: tuple[str, ...],
        trusted: tuple[str, ...],
        environment: Mapping[str, str],
        resources: Resources,
        layer: Path | None,
    ) -> AsyncIterator[Path]:
        """See `sandbox.layers.builder.Builder`."""
        spec = SandboxSpec("(builder)", "1", resources=resources, layer="built-in" if layer else "")
        order = Assignment(
            spec,
            Bundle(code, dict(environment), EgressPolicy(egress_hosts)),
            self._settings.start_seconds,
            BUILDER_CALL_SECONDS,
            is_builder=True,
            trusted=trusted,
        )
        live = self._fleet.take_builder(spec, self._engines.reaching(None), layer)
        try:
            await self._fleet.launched(live)
            live.renewed_at = inf  # its lease never ends: see Live.has_lease
            await live.specialise(order, Stopwatch())
            yield live.socket_path
        except (BlankLostError, LaunchFailedError) as error:
            raise ManagerUnavailableError(str(error)) from error
        finally:
            self._fleet.bury(live, None, "thrown away")


async def _measure(live: Live) -> None:
    """What it needs when it has done nothing yet; more than that may be a leak."""
    live.memory = live.baseline = await live.tether.memory_bytes()


async def result_of(
    start: "asyncio.Task[tuple[Live, StartTimes]]",
) -> tuple[Live, StartTimes]:
    """The start's outcome; a caller who leaves does not end it for the others."""
    try:
        return await asyncio.shield(start)
    except asyncio.CancelledError:
        if start.cancelled():  # withdrawn before it began; the caller itself was not cancelled
            raise ManagerUnavailableError("the sandbox was stopped while it started") from None
        raise
