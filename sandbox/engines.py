"""The runtimes of this machine: which one a sandbox gets, and how each of them is doing."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import structlog

from sandbox.health import EngineHealth
from sandbox.runtimes.base import Found, Runtime, RuntimeUnavailableError
from sandbox.types import Tier, TierStatus, TierUnavailableError

_log = structlog.get_logger(__name__)

_CHECK_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Opened:
    """Runtimes that are prepared, the default one first, and in words why it is this one."""

    runtimes: tuple[Runtime, ...]
    detail: str
    tiers: tuple[TierStatus, ...] = ()


@dataclass(slots=True)
class Engine:
    """A runtime and what is known about it."""

    runtime: Runtime
    health: EngineHealth = field(default_factory=EngineHealth)


class Engines:
    """All engines; empty until they are opened."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._all: tuple[Engine, ...] = ()
        self._tiers: tuple[TierStatus, ...] = ()
        self._opening = EngineHealth()  # what is known while there is none

    def use(self, opened: Opened) -> None:
        """From now on these are there."""
        self._all = tuple(Engine(runtime) for runtime in opened.runtimes)
        self._tiers = opened.tiers
        for engine in self._all:
            engine.health.about = engine.health.detail = opened.detail

    def __iter__(self) -> Iterator[Engine]:
        return iter(self._all)

    @property
    def default(self) -> Engine | None:
        """The preferred one."""
        return self._all[0] if self._all else None

    @property
    def health(self) -> EngineHealth:
        """Of the default one."""
        return self._all[0].health if self._all else self._opening

    def reaching(self, floor: Tier | None) -> Engine:
        """The default when it isolates well enough, else the weakest that does.

        Raises TierUnavailableError; a weaker one than asked for is never given.
        """
        reaching = [engine for engine in self._all if engine.runtime.tier.reaches(floor)]
        if not reaching:
            raise TierUnavailableError(self._why_not(floor))
        if reaching[0] is self._all[0]:
            return reaching[0]
        order = list(Tier)
        return max(reaching, key=lambda engine: order.index(engine.runtime.tier))

    def _why_not(self, floor: Tier | None) -> str:
        reasons = [
            f"{one.tier}: {one.detail}"
            for one in self._tiers
            if not one.is_available and one.tier.reaches(floor)
        ]
        return "; ".join([f"this machine has no tier of at least {floor}", *reasons])

    def of_tier(self, tier: Tier) -> Engine:
        """The one of exactly this tier; RuntimeUnavailableError when it is not there."""
        for engine in self._all:
            if engine.runtime.tier is tier:
                return engine
        raise RuntimeUnavailableError(f"no runtime of tier {tier} is prepared")

    def failed(self, tier: Tier, why: str) -> float:
        """Remember that it failed; the seconds to leave it alone."""
        _log.warning("engine_failed", tier=str(tier), reason=why)
        return self.of_tier(tier).health.failed(why, self._clock())

    def opening_failed(self, why: str) -> float:
        """None could be had; the seconds until the next try."""
        _log.warning("no_engine", reason=why)
        return self.health.failed(why, self._clock())

    async def check(self) -> None:
        """Ask each how it is; RuntimeUnavailableError when the default one does not answer."""
        await asyncio.gather(*(self._check(engine) for engine in self._all[1:]))
        if self._all:
            self._all[0].health.missing = await _missing(self._all[0].runtime)

    async def _check(self, engine: Engine) -> None:
        try:
            engine.health.missing = await _missing(engine.runtime)
        except RuntimeUnavailableError as error:
            self.failed(engine.runtime.tier, str(error))
        else:
            engine.health.works()

    async def find(self, installation: str) -> list[tuple[Engine, Found]]:
        """Everything of ours on this host, each with the engine that knows it."""
        lists = await asyncio.gather(*(one.runtime.find(installation) for one in self._all))
        return [
            (engine, found)
            for engine, them in zip(self._all, lists, strict=True)
            for found in them
            if found.labels.get("sandgate.tier", engine.runtime.tier) == engine.runtime.tier
        ]

    def tiers(self) -> tuple[TierStatus, ...]:
        """Each tier as it is now."""
        missing = {one.runtime.tier: one.health for one in self._all}
        known = {one.tier for one in self._tiers}
        told = tuple(
            replace(one, missing=missing[one.tier].missing) if one.tier in missing else one
            for one in self._tiers
        )
        return told + tuple(
            TierStatus(tier, one.runtime.name, True, one.health.about, one.health.missing)
            for one in self._all
            if (tier := one.runtime.tier) not in known
        )

    async def close(self) -> None:
        """Give up all connections; sandboxes stay."""
        await asyncio.gather(*(engine.runtime.close() for engine in self._all))


async def _missing(runtime: Runtime) -> tuple[str, ...]:
    try:
        async with asyncio.timeout(_CHECK_SECONDS):
            return await runtime.check()
    except TimeoutError:
        raise RuntimeUnavailableError("the engine does not answer") from None
