"""The sandboxes this gateway may send calls to now, kept while they are used."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import structlog

from gateway.deadline import within
from gateway.errors import SandboxesUnavailableError, SandgateError
from gateway.metrics import CallPathNow
from gateway.proxy.activate import Activation
from gateway.proxy.endings import Endings, Witness
from gateway.proxy.errors import QueueFullError, VersionRevertedError
from gateway.proxy.resolve import Target
from gateway.proxy.siblings import Crowd, Held, Siblings
from gateway.store.routes import Instances
from sandbox.types import SandboxError, SandboxSpec, StartTimes

_log = structlog.get_logger(__name__)

MAX_WAITING = 5000
QUIET_SECONDS = 1.0  # without a call, before an unwanted sandbox is given up
RENEW_SECONDS = 2.0  # for one answer; the next round asks again
START_AGAIN_SECONDS = 5.0  # after a further sandbox did not start beside those that serve
_STARTS_AT_ONCE = 8  # of sandboxes that nobody waits for
_LONGEST_PAUSE = 1.0


class Keeper(Witness, Protocol):
    """The part of the manager that keeps sandboxes or lets them go."""

    async def renew(self, sandbox_ids: Sequence[str]) -> dict[str, float]:
        """Seconds left of each that lives."""
        ...

    async def retire(self, sandbox_id: str) -> None:
        """Stop it: no call is under way in it."""
        ...


class Observer(Protocol):
    """Who measures starts, and what is held now."""

    def started(self, times: StartTimes) -> None:
        """A call, or a minimum of instances, made a sandbox start."""
        ...

    def first_byte(self, is_warm: bool, seconds: float) -> None:
        """From the end of that start until its first answer began."""
        ...

    def follow(self, now: Callable[[], CallPathNow]) -> None:
        """Ask this whenever somebody looks."""
        ...


class _NobodyMeasures:
    def started(self, times: StartTimes) -> None:
        """Not counted."""

    def first_byte(self, is_warm: bool, seconds: float) -> None:
        """Not counted."""

    def follow(self, now: Callable[[], CallPathNow]) -> None:
        """Not asked."""


class Leases:
    """Lends slots on sandboxes to calls, renews what is used, gives up what is unwanted."""

    def __init__(
        self,
        keeper: Keeper,
        activation: Activation,
        *,
        starts: Observer | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.starts = starts or _NobodyMeasures()
        self.endings = Endings(keeper)
        self.waiting = 0  # calls in all queues now
        self._keeper = keeper
        self._activation = activation
        self._clock = clock
        self._known: dict[SandboxSpec, Siblings] = {}
        self._crowds: dict[str, Crowd] = {}  # by API
        self._retiring: dict[SandboxSpec, asyncio.Task[None]] = {}
        self._when_held: Callable[[str], None] = _nobody_cares

    def __len__(self) -> int:
        return sum(len(siblings.held) for siblings in self._known.values())

    # --- for calls

    def at_once(self, target: Target) -> Held | None:
        """A sandbox that is held and has a free slot, which is not taken yet; the warm path."""
        siblings = self._known.get(target.spec)
        if siblings is None or siblings.waiting:
            return None
        siblings.instances = target.instances
        siblings.crowd.settings = target.settings
        if target.is_pinned:
            siblings.is_unwanted = False  # somebody asks for this very version
        return siblings.free()

    async def borrow(self, target: Target) -> Held:
        """A slot, taken when this returns; the caller keeps the deadline.

        Waits while all sandboxes are busy or one is started; never for a further sandbox
        while a held one has a free slot.
        """
        held = self.at_once(target)
        if held is not None:
            held.in_flight += 1
            return held
        if self.waiting >= MAX_WAITING:
            raise QueueFullError("Too many calls wait for a sandbox.", retry_after=2)
        siblings = self._siblings(target.spec, target.instances)
        siblings.is_for_all |= not target.is_pinned
        siblings.crowd.settings = target.settings
        if not siblings.crowd.may_wait:
            if not siblings.usable():
                self._start_one(siblings)  # for who comes again: none may ever be allowed to wait
            raise QueueFullError("Too many calls of this API wait.", retry_after=1)
        turn = siblings.join_queue()
        self._see_to(siblings)
        self.waiting += 1
        try:
            return await turn
        except asyncio.CancelledError:
            siblings.leave_queue(turn)
            raise
        finally:
            self.waiting -= 1

    def left(self, held: Held) -> None:
        """A call is over; its slot goes to whoever waits longest."""
        held.in_flight -= 1
        held.used_at = self._clock()
        crowd = held.siblings.crowd
        if held in crowd.leaving and not held.in_flight:
            crowd.leaving.remove(held)
            self._tidy(held.siblings)
        if crowd.settings.max_concurrency is not None:
            for siblings in crowd.next_waiting():
                self._see_to(siblings)
        elif held.siblings.waiting:
            self._see_to(held.siblings)

    def drop(self, held: Held) -> None:
        """It does not answer any more: calls go elsewhere or wait for another one."""
        siblings = held.siblings
        if held in siblings.held:
            siblings.held.remove(held)
            if held.in_flight:
                siblings.crowd.leaving.append(held)
        held.upstream.close()
        if siblings.waiting:
            self._see_to(siblings)

    # --- for those who follow the news

    def keep_only(self, api_id: str, wanted: frozenset[SandboxSpec]) -> None:
        """Of this API's sandboxes, give up the others once no call is under way in them."""
        for spec, siblings in self._known.items():
            if spec.api_id == api_id:
                siblings.is_unwanted = spec not in wanted

    def keep(self, wanted: Mapping[SandboxSpec, Instances]) -> None:
        """Hold this many of each, called or not; no others without need."""
        for spec, siblings in self._known.items():
            if spec not in wanted:
                siblings.kept = 0
        for spec, instances in wanted.items():
            siblings = self._siblings(spec, instances)
            siblings.kept = instances.min
            siblings.is_for_all = True

    def when_held(self, callback: Callable[[str], None]) -> None:
        """Tell the API of each sandbox taken for calls without a pin.

        Its route may have changed while it was started, so whoever gives up what is unwanted
        has to look again.
        """
        self._when_held = callback

    def api_ids(self) -> frozenset[str]:
        """The APIs that have a sandbox here, or wait for one."""
        return frozenset(spec.api_id for spec in self._known)

    # --- life

    async def run(self) -> None:
        """Renew, keep and give up, until cancelled."""
        while True:
            await asyncio.sleep(self._pause())
            await self.tend()

    async def tend(self) -> None:
        """One round: forget the expired, keep the kept, renew the used, give up the unwanted."""
        starting = sum(siblings.starting is not None for siblings in self._known.values())
        for siblings in list(self._known.values()):
            self._clear(siblings)
            if siblings.waiting:
                self._see_to(siblings)
            elif self._lacks(siblings) and starting < _STARTS_AT_ONCE:
                starting += 1
                self._start_one(siblings)
            elif siblings.is_empty:
                self._forget(siblings)
        now = self._clock()
        await self._renew([held for held in self.now_held() if held.is_due(now)])

    async def close(self) -> None:
        """Close every connection; the sandboxes stay for whoever comes next."""
        starting = [each.starting for each in self._known.values() if each.starting is not None]
        for siblings in self._known.values():
            siblings.close()
        await asyncio.gather(*starting, return_exceptions=True)
        for held in self.now_held():
            self.drop(held)
        await self.endings.close()
        await asyncio.gather(*self._retiring.values(), return_exceptions=True)

    def now_held(self) -> list[Held]:
        """Everything that is held, whether its lease has run out or not."""
        return [held for siblings in self._known.values() for held in siblings.held]

    def _siblings(self, spec: SandboxSpec, instances: Instances) -> Siblings:
        siblings = self._known.get(spec)
        if siblings is None:
            crowd = self._crowds.setdefault(spec.api_id, Crowd())
            siblings = self._known[spec] = Siblings(spec, instances, self._clock, crowd)
        siblings.instances = instances
        return siblings

    def _forget(self, siblings: Siblings) -> None:
        del self._known[siblings.spec]
        siblings.crowd.members.remove(siblings)
        self._tidy(siblings)

    def _tidy(self, siblings: Siblings) -> None:
        if siblings.crowd.is_empty:
            self._crowds.pop(siblings.spec.api_id, None)

    # --- starting

    def _see_to(self, siblings: Siblings) -> None:
        """Serve those who wait: from what is free, else with one more sandbox."""
        siblings.hand_over()
        if siblings.waiting and not siblings.crowd.is_full:
            self._start_one(siblings)

    def _start_one(self, siblings: Siblings) -> None:
        """One more, unless one is on its way or there are as many as there may be."""
        usable = siblings.usable()
        if siblings.starting is not None or usable >= siblings.instances.max:
            return
        if usable and self._clock() < siblings.start_after:
            return
        spec = siblings.next_spec()
        task = asyncio.create_task(self._start(siblings, spec))
        siblings.starting = task  # it outlives the callers who wait for it
        task.add_done_callback(lambda done: self._started(siblings, spec, done))

    async def _start(self, siblings: Siblings, spec: SandboxSpec) -> None:
        retiring = self._retiring.get(spec)
        if retiring is not None:
            await asyncio.shield(retiring)
        lease = await self._activation.lease(spec)
        now = self._clock()
        before = next((held for held in siblings.held if held.spec == spec), None)
        if before is not None and before.sandbox_id == lease.sandbox_id:
            before.set_time(now, lease.seconds)
            return
        if before is not None:
            self.drop(before)
        siblings.held.append(Held(siblings, spec, lease, now))
        siblings.held.sort(key=lambda held: held.spec.instance)
        if lease.times is not None:
            self.starts.started(lease.times)

    def _started(self, siblings: Siblings, spec: SandboxSpec, task: asyncio.Task[None]) -> None:
        siblings.starting = None
        error = SandboxesUnavailableError() if task.cancelled() else task.exception()
        if error is None:
            self._see_to(siblings)
            if siblings.is_for_all:
                self._when_held(siblings.spec.api_id)
            return
        siblings.start_after = self._clock() + START_AGAIN_SECONDS
        if not isinstance(error, SandgateError | VersionRevertedError):
            _log.error("sandbox_not_started", exc_info=error, **spec.log_context())
        if spec.instance > 0:  # it says nothing about the first one, which may be gone by now
            _log.warning("no_further_sandbox", error=str(error), **spec.log_context())
            self._see_to(siblings)
        elif siblings.usable():
            _log.warning("first_sandbox_missing", error=str(error), **spec.log_context())
        else:
            siblings.fail(error)

    def _lacks(self, siblings: Siblings) -> bool:
        """Whether fewer are there than shall be kept, and it is time to try."""
        return (
            siblings.kept > 0
            and not siblings.is_unwanted
            and siblings.usable() < siblings.kept
            and self._clock() >= siblings.start_after
        )

    # --- ending

    def _clear(self, siblings: Siblings) -> None:
        """Forget what expired and give up what is unwanted, where no call is under way."""
        now = self._clock()
        for held in list(siblings.held):
            if held.in_flight > 0:
                continue
            if now >= held.expires_at:
                self.drop(held)
            elif siblings.is_unwanted and now - held.used_at >= QUIET_SECONDS:
                self._give_up(held)

    async def _renew(self, due: list[Held]) -> None:
        """All in one request."""
        if not due:
            return
        try:
            ids = [held.sandbox_id for held in due]
            left = await within(RENEW_SECONDS, self._keeper.renew(ids))
        except (SandboxError, TimeoutError) as error:
            _log.warning("leases_not_renewed", error=repr(error))
            return
        now = self._clock()
        for held in due:
            seconds = left.get(held.sandbox_id)
            if seconds is None:
                self.drop(held)
            else:
                held.set_time(now, seconds)

    def _give_up(self, held: Held) -> None:
        self.drop(held)
        task = asyncio.create_task(self._retire(held))
        self._retiring[held.spec] = task
        task.add_done_callback(lambda _: self._retiring.pop(held.spec, None))

    async def _retire(self, held: Held) -> None:
        try:
            await self._keeper.retire(held.sandbox_id)
        except SandboxError as error:
            _log.warning("sandbox_not_retired", sandbox_id=held.sandbox_id, error=str(error))

    def _pause(self) -> float:
        """Often enough for the shortest lease."""
        shortest = min((held.expires_at - held.renewed_at for held in self.now_held()), default=4.0)
        return min(max(shortest / 8, 0.05), _LONGEST_PAUSE)


def _nobody_cares(_api_id: str) -> None:
    """Until somebody does."""
