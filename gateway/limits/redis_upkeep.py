"""What goes on beside the calls: joining the store, heartbeats, probes while it is away."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import structlog

from gateway.errors import SandgateError
from gateway.limits.redis import RedisLimiter
from gateway.limits.redis_membership import Counts, Membership, StoreUnfitError
from gateway.limits.redis_wire import Address, ReplyError, Wire, connect

_log = structlog.get_logger(__name__)

CONNECT_SECONDS = 1.0
HEARTBEAT_SECONDS = 1.0
PAUSES = (0.02, 1.0)  # between two probes, first and longest
INFORM_AFTER = (0.0, 3.0, 30.0)  # when the database is asked while alone; the last one again
INFORMED_SECONDS = 1.0

# what a store or a database that is unwell may answer, or not
_TROUBLE = (OSError, TimeoutError, ReplyError, SandgateError, ValueError, KeyError)


class Upkeep:
    """Keeps one limiter in step with its store."""

    def __init__(
        self,
        limiter: RedisLimiter,
        address: Address,
        *,
        counts: Counts,
        clock: Callable[[], float],
        gateways: int = 1,
    ) -> None:
        self._limiter = limiter
        self._address = address
        self._counts = counts
        self._clock = clock
        self._wire: Wire | None = None
        self._loop = asyncio.get_running_loop()
        self._informed_until = 0.0
        self._membership = Membership(limiter.scripts, limiter.shadow, counts, clock, gateways)

    async def start(self) -> None:
        """Join once. A store that is away is waited for by `run`; an unfit one is an error."""
        try:
            await self._join()
        except ReplyError as error:
            raise StoreUnfitError(f"the server at {self._address!r} refuses: {error}") from None
        except (OSError, TimeoutError) as error:
            _log.error("limits_store_unreachable", error=repr(error))
            await self._inform()

    async def run(self) -> None:
        """Keep in step, until cancelled; then take leave."""
        try:
            while True:
                await self._until_joined()
                await self._until_trouble()
        finally:
            await self.close()

    async def close(self) -> None:
        """Take leave and close the connection."""
        wire = self._limiter.serving
        self._limiter.stop()
        if wire is not None:
            with suppress(*_TROUBLE):
                await self._membership.leave(wire)
        if self._wire is not None:
            self._wire.abort()
            self._wire = None

    async def restore(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Raise the counters to what `rate_limit_counts` answers."""
        if self._wire is not None:
            await self._membership.restore(self._wire, rows)

    async def _until_joined(self) -> None:
        if self._limiter.serving is not None:
            return
        informing = asyncio.create_task(self._keep_informed())
        pause, longest = PAUSES
        try:
            while self._limiter.serving is None:
                try:
                    await self._join()
                except (*_TROUBLE, StoreUnfitError) as error:
                    _log.info("limits_store_still_away", error=repr(error))
                    await asyncio.sleep(pause)
                    pause = min(pause * 2, longest)
        finally:
            informing.cancel()
            with suppress(asyncio.CancelledError):
                await informing

    async def _join(self) -> None:
        """On the connection that is there, so that late answers come first; or on a new one."""
        wire = self._wire
        if wire is None or not wire.is_open:
            wire = self._wire = await connect(self._address, CONNECT_SECONDS)
        await self._probe(wire)
        losses, is_first = self._membership.losses, not self._membership.epoch
        try:
            await self._membership.join(wire)
            wire.require_open()
        except BaseException:
            wire.abort()
            raise
        if self._membership.losses > losses:
            self._limiter.lost_memory(is_first=is_first)
        self._limiter.open(wire, self._membership.epoch)
        _log.info("limits_store_in_use", address=repr(self._address))

    async def _probe(self, wire: Wire) -> None:
        """It must answer as fast as it will have to; what was late before comes first."""
        begin = self._loop.time()
        try:
            await wire.ask("PING")
        except BaseException:
            wire.abort()
            raise
        if self._loop.time() - begin > self._limiter.patience:
            raise TimeoutError("the store answers too late")

    async def _until_trouble(self) -> None:
        """Heartbeats; they also find a store that hangs while nobody calls."""
        while (wire := self._limiter.serving) is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(HEARTBEAT_SECONDS):
                    await self._limiter.trouble.wait()
                return
            try:
                if not await self._membership.beat(wire):
                    self._limiter.trip("flushed", "the store has lost its memory")
                    return
                await self._membership.pay(wire)
                self._limiter.sweep()
            except TimeoutError:
                self._limiter.trip("timeout", "the store does not answer in time")
            except OSError:
                self._limiter.trip("lost", "the store cannot be reached")
            except ReplyError as error:
                self._limiter.trip("refused", f"the store answers {str(error).split()[0]}")

    async def _keep_informed(self) -> None:
        """What the others admitted is in the database a moment later."""
        for pause in INFORM_AFTER:
            await asyncio.sleep(pause)
            await self._inform()
        while True:
            await asyncio.sleep(INFORM_AFTER[-1])
            await self._inform()

    async def _inform(self) -> None:
        """Not twice within a second: a store that comes and goes must not wear the database out."""
        if self._loop.time() < self._informed_until:
            self._limiter.shadow.is_informed = True
            return
        try:
            self._limiter.shadow.raise_to(await self._counts(self._clock()))
            self._informed_until = self._loop.time() + INFORMED_SECONDS
        except (OSError, TimeoutError, SandgateError) as error:
            _log.warning("limits_not_counted_from_calls", error=repr(error))
