"""The sandboxes this gateway may send calls to now, kept while they are used."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from gateway.proxy.activate import Activation
from gateway.proxy.upstream import Upstream
from sandbox.types import Lease, SandboxError, SandboxSpec

_log = logging.getLogger(__name__)

QUIET_SECONDS = 1.0  # without a call, before an unwanted sandbox is given up
_LONGEST_PAUSE = 1.0


class Keeper(Protocol):
    """The part of the manager that keeps sandboxes or lets them go."""

    async def renew(self, sandbox_ids: Sequence[str]) -> dict[str, float]:
        """Seconds left of each that lives."""
        ...

    async def retire(self, sandbox_id: str) -> None:
        """Stop it: no call is under way in it."""
        ...


class Held:
    """A lease with its connections and the count of calls under way."""

    def __init__(self, spec: SandboxSpec, lease: Lease, now: float) -> None:
        self.spec = spec
        self.sandbox_id = lease.sandbox_id
        self.upstream = Upstream(lease.socket_path)
        self.in_flight = 0
        self.used_at = now
        self.is_unwanted = False
        self.set_time(now, lease.seconds)

    def set_time(self, now: float, seconds: float) -> None:
        """The lease lasts this long from now."""
        self.expires_at = now + seconds
        self.half_at = now + seconds / 2
        self.renewed_at = now


class Leases:
    """Lends sandboxes to calls, renews what is used, gives up what is unwanted."""

    def __init__(
        self,
        keeper: Keeper,
        activation: Activation,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._keeper = keeper
        self._activation = activation
        self._clock = clock
        self._held: dict[SandboxSpec, Held] = {}
        self._retiring: dict[SandboxSpec, asyncio.Task[None]] = {}
        self._when_held: Callable[[str], None] = _nobody_cares

    def __len__(self) -> int:
        return len(self._held)

    def at_once(self, spec: SandboxSpec, *, is_pinned: bool) -> Held | None:
        """A sandbox of this spec that is held already."""
        held = self._held.get(spec)
        if held is None or self._clock() >= held.expires_at:
            return None
        if is_pinned:
            held.is_unwanted = False  # somebody asks for this very version
        return held

    async def borrow(self, spec: SandboxSpec, *, is_pinned: bool = False) -> Held:
        """A sandbox of this spec, started when need be; the caller keeps the deadline."""
        held = self.at_once(spec, is_pinned=is_pinned)
        if held is not None:
            return held
        held = await self._take(spec)
        if not is_pinned:
            self._when_held(spec.api_id)
        return held

    def entered(self, held: Held) -> None:
        """A call is under way."""
        held.in_flight += 1

    def left(self, held: Held) -> None:
        """A call is over."""
        held.in_flight -= 1
        held.used_at = self._clock()

    def drop(self, held: Held) -> None:
        """It does not answer any more: the next call takes a new lease."""
        if self._held.get(held.spec) is held:
            del self._held[held.spec]
        held.upstream.close()

    def keep_only(self, api_id: str, wanted: frozenset[SandboxSpec]) -> None:
        """Of this API's sandboxes, give up the others once no call is under way in them."""
        for spec, held in self._held.items():
            if spec.api_id == api_id:
                held.is_unwanted = spec not in wanted

    def when_held(self, callback: Callable[[str], None]) -> None:
        """Tell the API of each sandbox taken for calls without a pin.

        Its route may have changed while it was started, so whoever gives up what is unwanted
        has to look again.
        """
        self._when_held = callback

    def api_ids(self) -> frozenset[str]:
        """The APIs that have a sandbox here."""
        return frozenset(spec.api_id for spec in self._held)

    async def run(self) -> None:
        """Renew and give up, until cancelled."""
        while True:
            await asyncio.sleep(self._pause())
            await self.tend()

    async def tend(self) -> None:
        """One round: forget the expired, renew the used, give up the unwanted."""
        now = self._clock()
        for held in list(self._held.values()):
            if now >= held.expires_at and held.in_flight == 0:
                self.drop(held)
            elif held.is_unwanted and held.in_flight == 0 and now - held.used_at >= QUIET_SECONDS:
                self._give_up(held)
        await self._renew([held for held in self._held.values() if _is_due(held, now)])

    async def close(self) -> None:
        """Close every connection; the sandboxes stay for whoever comes next."""
        await self._activation.close()
        for held in list(self._held.values()):
            self.drop(held)
        await asyncio.gather(*self._retiring.values(), return_exceptions=True)

    async def _take(self, spec: SandboxSpec) -> Held:
        retiring = self._retiring.get(spec)
        if retiring is not None:
            await asyncio.shield(retiring)
        lease = await self._activation.lease(spec)
        held = self._held.get(spec)
        if held is not None and held.sandbox_id == lease.sandbox_id:
            if self._clock() >= held.expires_at:
                held.set_time(self._clock(), lease.seconds)
            return held
        if held is not None:
            self.drop(held)
        held = self._held[spec] = Held(spec, lease, self._clock())
        return held

    async def _renew(self, due: list[Held]) -> None:
        if not due:
            return
        try:
            left = await self._keeper.renew([held.sandbox_id for held in due])
        except SandboxError as error:
            _log.warning("leases not renewed: %s", error)
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
            _log.warning("sandbox %s ends by itself: %s", held.sandbox_id, error)

    def _pause(self) -> float:
        """Often enough for the shortest lease."""
        shortest = min(
            (held.expires_at - held.renewed_at for held in self._held.values()), default=4.0
        )
        return min(max(shortest / 8, 0.05), _LONGEST_PAUSE)


def _nobody_cares(_api_id: str) -> None:
    """Until somebody does."""


def _is_due(held: Held, now: float) -> bool:
    """Past half its time, and used since it was renewed or being used."""
    return now >= held.half_at and (held.in_flight > 0 or held.used_at > held.renewed_at)
