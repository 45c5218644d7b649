"""Limiters of every kind with a clock set by hand, and a shared one on a real Redis."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

from gateway.limits.memory import MemoryLimiter
from gateway.limits.policy import Failure, parse_failure
from gateway.limits.redis import ANSWER_SECONDS, RedisLimiter
from gateway.limits.redis_script import scripts
from gateway.limits.redis_upkeep import Upkeep
from gateway.limits.redis_wire import address_of
from gateway.limits.types import Charge, Decision, Limit, LimitState
from tests.support.redis_server import RedisServer
from tests.support.waiting import until

START = 1_800_000_000.25
_CLOCK_KEY = "test-clock"
BY_HAND = f"local now, micros = tonumber(redis.call('GET', '{{sandgate}}{_CLOCK_KEY}')), 0\n"

PATIENT = 10.0  # a busy machine is no trouble of the store

Rows = Sequence[Mapping[str, Any]]


class Clock:
    """Unix time, set by hand."""

    def __init__(self, now: float = START) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class CountingLimiter(Protocol):
    """A limiter as the gateway uses it."""

    async def admit(self, limits: Sequence[Limit], charge: Charge | None = None) -> Decision: ...
    async def usage_of(self, limits: Sequence[Limit]) -> Sequence[LimitState]: ...
    async def restore(self, rows: Rows) -> None: ...
    async def set_credit(self, account: str, granted: int, spent: int) -> None: ...
    def refund(self, charge: Charge) -> None: ...


Open = Callable[[Clock], AbstractAsyncContextManager[CountingLimiter]]


class Memory(MemoryLimiter):
    """The one of a single process."""

    async def restore(self, rows: Rows) -> None:  # type: ignore[override]
        """Awaited, as the other one."""
        super().restore(rows)


@dataclass
class Database:
    """What `rate_limit_counts` answers."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    asked: int = 0

    async def counts(self, _now: float) -> Rows:
        """The rows as they are."""
        self.asked += 1
        return self.rows


class Shared:
    """A limiter on Redis whose clock is set by hand before each decision."""

    def __init__(
        self,
        clock: Clock,
        failure: Mapping[str, Failure] | None = None,
        gateways: int = 1,
        lease: int = 0,
    ) -> None:
        self._clock = clock
        self._told: float | None = None
        self.database = Database()
        self.limiter = RedisLimiter(
            clock=clock,
            failure=failure,
            programs=scripts(BY_HAND),
            settle_seconds=0,
            lease=lease,
            patience=PATIENT,
        )
        self._gateways = gateways

    async def open(self, url: str) -> None:
        """Join the store."""
        self.upkeep = Upkeep(
            self.limiter,
            address_of(url),
            counts=self.database.counts,
            clock=self._clock,
            gateways=self._gateways,
        )
        await self.upkeep.start()

    async def admit(self, limits: Sequence[Limit], charge: Charge | None = None) -> Decision:
        """At the time of the clock."""
        await self._tell()
        return await self.limiter.admit(limits, charge)

    async def usage_of(self, limits: Sequence[Limit]) -> Sequence[LimitState]:
        """At the time of the clock."""
        await self._tell()
        return await self.limiter.usage_of(limits)

    async def restore(self, rows: Rows) -> None:
        """At the time of the clock."""
        await self._tell()
        await self.upkeep.restore(rows)

    async def set_credit(self, account: str, granted: int, spent: int) -> None:
        """As it is."""
        await self.limiter.set_credit(account, granted, spent)

    def refund(self, charge: Charge) -> None:
        """As it is."""
        self.limiter.refund(charge)

    async def _tell(self) -> None:
        wire = self.limiter.serving
        if self._told != self._clock.now and wire is not None:
            await wire.ask("SET", f"{{sandgate}}{_CLOCK_KEY}", int(self._clock.now))
            self._told = self._clock.now


@asynccontextmanager
async def memory(clock: Clock) -> AsyncIterator[CountingLimiter]:
    """In this process."""
    yield Memory(clock)


@asynccontextmanager
async def shared(
    clock: Clock,
    server: RedisServer,
    failure: Mapping[str, Failure] | None = None,
    gateways: int = 1,
    lease: int = 0,
    *,
    is_first: bool = True,
) -> AsyncIterator[Shared]:
    """In an empty Redis; one that is not the first finds it as the others left it."""
    if is_first:
        server.flush()
        with server.client() as client:
            client.set(f"{{sandgate}}{_CLOCK_KEY}", int(clock.now))
    made = Shared(clock, failure, gateways, lease)
    await made.open(server.url)
    try:
        yield made
    finally:
        await made.upkeep.close()


@asynccontextmanager
async def gateway(
    url: str,
    *,
    clock: Callable[[], float] = time.time,
    failure: str = "share",
    gateways: int = 1,
    lease: int = 0,
    database: Database | None = None,
    patience: float = ANSWER_SECONDS,
) -> AsyncIterator[RedisLimiter]:
    """The limiter of one gateway, with the store's own clock and all that runs beside it."""
    limiter = RedisLimiter(
        clock=clock,
        failure=parse_failure(failure),
        settle_seconds=0,
        lease=lease,
        patience=patience,
    )
    counts = (database or Database()).counts
    upkeep = Upkeep(limiter, address_of(url), counts=counts, clock=clock, gateways=gateways)
    await upkeep.start()
    work = asyncio.create_task(upkeep.run())
    try:
        yield limiter
    finally:
        work.cancel()
        with suppress(asyncio.CancelledError):
            await work
        await upkeep.close()  # a task that never began has not done it


async def joined(limiter: RedisLimiter) -> None:
    """Until it decides by its store."""
    await until(lambda: limiter.degraded is None)


async def alone(limiter: RedisLimiter) -> None:
    """Until it has noticed that its store is away."""
    await until(lambda: limiter.degraded is not None)
