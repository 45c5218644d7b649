"""From a reference to the API and the version that shall answer, out of memory when it can."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import structlog

from gateway.proxy.cache import LoadingCache
from gateway.proxy.errors import ApiNotFoundError, ApiNotReadyError, VersionNotFoundError
from gateway.store.call_settings import PLAIN, CallSettings
from gateway.store.route_check import BrokenRouteError
from gateway.store.routes import ActiveVersion, Instances, Route
from sandbox.types import SandboxSpec

_log = structlog.get_logger(__name__)


class Routes(Protocol):
    """Where routes are kept."""

    async def route(self, reference: str) -> Route | None:
        """By id or slug."""
        ...

    async def version(self, api_id: str, n: int) -> ActiveVersion | None:
        """A pinned version."""
        ...


class ChangeSource(Protocol):
    """Where news about APIs and tenants come from."""

    def subscribe(self, callback: Callable[[str, str], None], /) -> object:
        """Call back with kind and id of what changed; ("all", "") when news were missed."""
        ...


@dataclass(frozen=True, slots=True)
class Target:
    """The version that shall answer a call. `is_pinned` when the caller named it."""

    spec: SandboxSpec
    n: int
    instances: Instances
    is_pinned: bool = False
    settings: CallSettings = PLAIN


class Destination:
    """A route and the targets made from it once, so that a call makes none."""

    __slots__ = ("_total", "_weighted", "route")

    def __init__(self, route: Route) -> None:
        self.route = route
        self._weighted = tuple(
            (
                each.weight,
                Target(spec_of(route, each), each.n, route.instances, settings=route.settings),
            )
            for each in route.versions
        )
        self._total = sum(each.weight for each in route.versions)

    def pick(self, chance: Callable[[], float]) -> Target:
        """One of the active versions by weight; `chance` gives 0 up to 1."""
        if len(self._weighted) == 1:
            return self._weighted[0][1]
        point = chance() * self._total
        for weight, target in self._weighted:
            point -= weight
            if point < 0:
                return target
        raise ApiNotReadyError


class Resolver:
    """Remembers routes and pins; changes reach it as they happen."""

    def __init__(
        self,
        routes: Routes,
        changes: ChangeSource,
        *,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
        gateways: int = 1,
    ) -> None:
        self._routes = routes
        self._chance = chance
        self._gateways = gateways
        self.broken: dict[str, str] = {}  # by API: why what is stored is not served
        self._known: LoadingCache[str, Destination] = LoadingCache(
            self._load, clock=clock, tags=_tags_of
        )
        self._pins: LoadingCache[tuple[str, int], ActiveVersion] = LoadingCache(
            lambda pin: routes.version(*pin), clock=clock, tags=lambda pin, _: (_api(pin[0]),)
        )
        changes.subscribe(self._changed)

    async def find(self, ref: str) -> Destination:
        """Where an id or slug leads; ApiNotFoundError when nowhere."""
        entry = self._known.fresh(ref)
        destination = entry.value if entry is not None else await self._known.get(ref)
        if destination is None:
            raise ApiNotFoundError("No API has this id or name.")
        return destination

    def at_hand(self, ref: str) -> Destination | None:
        """Where an id or slug leads when that is known; the warm path."""
        entry = self._known.fresh(ref)
        return None if entry is None else entry.value

    def pick(self, destination: Destination) -> Target:
        """One of its active versions by weight."""
        return destination.pick(self._chance)

    async def target(self, destination: Destination, pin: int | None) -> Target:
        """The pinned version, else one of the active ones by weight."""
        if pin is not None:
            return await self._pinned(destination.route, pin)
        return destination.pick(self._chance)

    async def _load(self, ref: str) -> Destination | None:
        try:
            route = await self._routes.route(ref)
        except BrokenRouteError as error:
            return self._before(ref, error)
        if route is None:
            return None
        self.broken.pop(route.api_id, None)
        return Destination(shared(route, self._gateways))

    def _before(self, ref: str, error: BrokenRouteError) -> Destination:
        """What the API was like before its row was broken; the error when that may not serve."""
        if self.broken.get(error.api_id) != error.reason:
            _log.error("route_broken", api_id=error.api_id, reason=error.reason)
            self.broken[error.api_id] = error.reason
        old = self._known.last(ref)
        if old is None or not error.may_serve or old.route.api_id != error.api_id:
            raise error
        return old

    async def _pinned(self, route: Route, n: int) -> Target:
        key = (route.api_id, n)
        entry = self._pins.fresh(key)
        version = entry.value if entry is not None else await self._pins.get(key)
        if version is None:
            raise VersionNotFoundError(f"Version {n} does not exist.")
        spec = spec_of(route, version)
        return Target(spec, n, route.instances, is_pinned=True, settings=route.settings)

    def _changed(self, kind: str, identifier: str) -> None:
        if kind == "all":
            self._known.invalidate(lambda _ref, _found: True)
            self._pins.invalidate(lambda _pin, _id: True)
        elif kind == "api":
            # what led nowhere may be the changed one: its slug is not in the news
            self._known.invalidate_tagged(_NOWHERE, _api(identifier))
            self._pins.invalidate_tagged(_api(identifier))
        elif kind == "tenant":
            self._known.invalidate_tagged(_NOWHERE, f"tenant {identifier}")


_NOWHERE = "nowhere"


def _api(identifier: str) -> str:
    return f"api {identifier}"


def _tags_of(_ref: str, to: Destination | None) -> tuple[str, ...]:
    """By what a change finds it."""
    if to is None:
        return (_NOWHERE,)
    return (_api(to.route.api_id), f"tenant {to.route.tenant_id}")


def shared(route: Route, gateways: int) -> Route:
    """This gateway's share of what all gateways of the machine may do at once together."""
    if gateways == 1:
        return route
    instances, most = route.instances, route.settings.max_concurrency
    return replace(
        route,
        instances=replace(instances, concurrency=_share(instances.concurrency, gateways)),
        settings=replace(
            route.settings, max_concurrency=None if most is None else _share(most, gateways)
        ),
    )


def _share(whole: int, gateways: int) -> int:
    return max(1, whole // gateways)


def spec_of(route: Route, version: ActiveVersion) -> SandboxSpec:
    """The sandbox in which a version of this API runs now."""
    return SandboxSpec(
        api_id=route.api_id,
        version_id=version.version_id,
        generation=route.generation,
        resources=route.resources,
        tenant_id=route.tenant_id,
        floor=route.floor,
        layer=version.layer,
    )


def wanted_specs(route: Route) -> frozenset[SandboxSpec]:
    """The sandboxes that this API should have now."""
    if route.status != "active" or route.tenant_status != "active":
        return frozenset()
    return frozenset(spec_of(route, version) for version in route.versions)
