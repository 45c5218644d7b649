"""Opens the limiter that the settings ask for: in memory, or in the Redis of `REDIS_URL`."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from gateway.limits.memory import MemoryLimiter
from gateway.limits.policy import Watcher, parse_failure
from gateway.limits.redis import RedisLimiter
from gateway.limits.redis_membership import Counts, StoreUnfitError, fields, require_fit
from gateway.limits.redis_upkeep import Upkeep
from gateway.limits.redis_wire import ReplyError, address_of, connect

_LOOK_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Opened:
    """A limiter, and what must run beside it for as long as it is used."""

    limiter: MemoryLimiter | RedisLimiter
    work: Coroutine[Any, Any, None] | None = None


async def open_limiter(
    redis_url: str | None,
    *,
    counts: Counts,
    clock: Callable[[], float],
    failure: str = "share",
    gateways: int = 1,
    lease: int = 0,
    watcher: Watcher | None = None,
) -> Opened:
    """With the counters as `counts` has them: everything answered before is counted."""
    if redis_url is None:
        memory = MemoryLimiter(clock)
        memory.restore(await counts(clock()))
        return Opened(memory)
    shared = RedisLimiter(clock=clock, failure=parse_failure(failure), watcher=watcher, lease=lease)
    upkeep = Upkeep(shared, address_of(redis_url), counts=counts, clock=clock, gateways=gateways)
    await upkeep.start()
    return Opened(shared, upkeep.run())


async def look_at(redis_url: str) -> str:
    """Version of the server, fit for people; raises `StoreUnfitError` with what is wrong."""
    try:
        address = address_of(redis_url)
    except ValueError as error:
        raise StoreUnfitError(f"REDIS_URL {error}") from None
    try:
        wire = await connect(address, _LOOK_SECONDS)
        try:
            info = fields(await wire.ask("INFO"))
        finally:
            wire.abort()
    except ReplyError as error:
        raise StoreUnfitError(f"{address!r} refuses: {error}") from None
    except (OSError, TimeoutError) as error:
        raise StoreUnfitError(f"{address!r} does not answer: {error}") from None
    require_fit(info)
    return f"{info.get('redis_version', 'unknown')} at {address!r}"
