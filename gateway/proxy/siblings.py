"""The sandboxes of one version that are held here, and the calls that wait for one of them."""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from gateway.proxy.errors import GatewayStoppedError
from gateway.proxy.upstream import Upstream
from gateway.store.call_settings import PLAIN, CallSettings
from gateway.store.routes import Instances
from sandbox.types import Lease, SandboxSpec


class Fresh(NamedTuple):
    """A sandbox that was started for a call and has not answered yet."""

    is_warm: bool  # a blank was there
    ready_at: float  # time.perf_counter


class Held:
    """A lease with its connections and the count of calls under way."""

    __slots__ = (
        "expires_at",
        "fresh",
        "half_at",
        "in_flight",
        "renewed_at",
        "sandbox_id",
        "siblings",
        "spec",
        "upstream",
        "used_at",
    )

    def __init__(self, siblings: "Siblings", spec: SandboxSpec, lease: Lease, now: float) -> None:
        self.siblings = siblings
        self.spec = spec
        self.sandbox_id = lease.sandbox_id
        self.upstream = Upstream(lease.socket_path)
        self.in_flight = 0
        self.used_at = now
        self.fresh: Fresh | None = None
        if lease.times is not None and siblings.waiting:
            self.fresh = Fresh(lease.times.is_warm, time.perf_counter())
        self.set_time(now, lease.seconds)

    def set_time(self, now: float, seconds: float) -> None:
        """The lease lasts this long from now."""
        self.expires_at = now + seconds
        self.half_at = now + seconds / 2
        self.renewed_at = now

    def is_due(self, now: float) -> bool:
        """Past half its time, and wanted: used since it was renewed, being used, or kept."""
        if now < self.half_at:
            return False
        return (
            self.in_flight > 0
            or self.used_at > self.renewed_at
            or self.spec.instance < self.siblings.kept
        )


class Crowd:
    """All calls of one API, whichever version answers them: how many run, how many wait."""

    __slots__ = ("leaving", "members", "settings")

    def __init__(self) -> None:
        self.settings: CallSettings = PLAIN
        self.members: list[Siblings] = []
        self.leaving: list[Held] = []  # given up with calls under way

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to remember."""
        return not (self.members or self.leaving)

    @property
    def is_full(self) -> bool:
        """Whether as many calls run as may run at once."""
        most = self.settings.max_concurrency
        if most is None:
            return False
        running = sum(held.in_flight for held in self.leaving)
        return running + sum(held.in_flight for each in self.members for held in each.held) >= most

    @property
    def may_wait(self) -> bool:
        """Whether one more call may wait."""
        most = self.settings.queue
        return most is None or sum(len(each.waiting) for each in self.members) < most

    def next_waiting(self) -> "list[Siblings]":
        """Those with calls that wait; each time another version comes first."""
        if len(self.members) > 1:
            self.members.append(self.members.pop(0))
        return [each for each in self.members if each.waiting]


class Siblings:
    """All sandboxes of one spec, told apart by `instance`. First come, first served.

    A sandbox answers at most `instances.concurrency` calls at a time; who finds all of them
    busy waits for a slot, or for one more sandbox.
    """

    def __init__(
        self, spec: SandboxSpec, instances: Instances, clock: Callable[[], float], crowd: Crowd
    ) -> None:
        self.spec = spec  # of instance 0
        self.instances = instances
        self.crowd = crowd
        crowd.members.append(self)
        self._clock = clock
        self.kept = 0  # that many stay, called or not
        self.held: list[Held] = []
        self.starting: asyncio.Task[None] | None = None
        self.start_after = 0.0  # no further one before, because the last start failed
        self.is_unwanted = False
        self.is_for_all = False  # asked for without a pin
        self.waiting: deque[asyncio.Future[Held]] = deque()

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to remember."""
        return not (self.held or self.waiting or self.kept or self.starting)

    def free(self) -> Held | None:
        """The least busy one that can take a call now; never one whose lease is over."""
        if self.crowd.settings.max_concurrency is not None and self.crowd.is_full:
            return None
        now = self._clock()
        fewest = self.instances.concurrency
        found = None
        for held in self.held:
            if held.in_flight < fewest and now < held.expires_at:
                fewest = held.in_flight
                found = held
        return found

    def usable(self) -> int:
        """How many may be sent calls, busy or not."""
        now = self._clock()
        return sum(now < held.expires_at for held in self.held)

    def next_spec(self) -> SandboxSpec:
        """With the lowest instance number that no usable one has."""
        now = self._clock()
        taken = {held.spec.instance for held in self.held if now < held.expires_at}
        return replace(self.spec, instance=min(set(range(len(taken) + 1)) - taken))

    def join_queue(self) -> "asyncio.Future[Held]":
        """The turn of a call that waits; its slot is taken when it is done."""
        turn: asyncio.Future[Held] = asyncio.get_running_loop().create_future()
        self.waiting.append(turn)
        return turn

    def leave_queue(self, turn: "asyncio.Future[Held]") -> None:
        """A waiting call gave up; a slot it was handed meanwhile goes to the next one."""
        if not turn.done() or turn.cancelled():
            with contextlib.suppress(ValueError):
                self.waiting.remove(turn)
        elif turn.exception() is None:
            turn.result().in_flight -= 1
            for siblings in self.crowd.next_waiting():
                siblings.hand_over()

    def hand_over(self) -> None:
        """Give free slots to those who wait longest."""
        while self.waiting:
            held = self.free()
            if held is None:
                return
            turn = self.waiting.popleft()
            if not turn.done():
                held.in_flight += 1
                turn.set_result(held)

    def fail(self, error: BaseException) -> None:
        """Tell all who wait that there will be no sandbox."""
        while self.waiting:
            turn = self.waiting.popleft()
            if not turn.done():
                turn.set_exception(error)

    def close(self) -> None:
        """The gateway ends."""
        if self.starting is not None:
            self.starting.cancel()
        self.fail(GatewayStoppedError())
