"""What a reload would do: every route is read and checked aside, nothing is touched."""

from collections import Counter
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

from gateway.auth.permissions import Operation
from gateway.operations import access
from gateway.operations.access import Known
from gateway.operations.ports import Services
from gateway.operations.rehearse import public_error
from gateway.store import generations
from gateway.store.route_check import BrokenRouteError, read
from gateway.store.routes import Route
from sandbox.types import SandboxError

PAGE = 500


@dataclass(frozen=True, slots=True)
class WouldReload:
    """An API that runs now: fresh sandboxes of these versions would take over."""

    api_id: str
    generation: int
    next_generation: int
    versions: tuple[int, ...]
    sandboxes: int


@dataclass(frozen=True, slots=True)
class BrokenRoute:
    """An API whose row is no route, and why; gateways that know it go on with the old one."""

    api_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class ReloadTrial:
    """`generation` is that of all announced changes; send it as If-Match with the reload."""

    dry_run: bool
    generation: int
    checked: int
    would_reload: tuple[WouldReload, ...]
    broken: tuple[BrokenRoute, ...]


async def try_reload(services: Services, subject: Known, ref: str | None = None) -> ReloadTrial:
    """Of all APIs, or of one."""
    access.require_admin(subject)
    wanted = None
    if ref is not None:
        allowed = await access.require_api(services, subject, ref, Operation.CHANGE_API)
        wanted = str(allowed.id)
    generation = await generations.current(services.database)
    running = await _running(services)
    would: list[WouldReload] = []
    broken: list[BrokenRoute] = []
    checked = 0
    async for row in _rows(services, wanted):
        checked += 1
        try:
            route = _read(row)
        except BrokenRouteError as error:
            broken.append(BrokenRoute(row["id"], error.reason))
        else:
            if running[route.api_id] or wanted is not None:
                would.append(_described(route, running[route.api_id]))
    return ReloadTrial(True, generation, checked, tuple(would), tuple(broken))


async def require_sound(services: Services, api_id: str) -> None:
    """BrokenRouteError when what is stored about this API makes no sense."""
    async for row in _rows(services, api_id):
        _read(row)


async def _running(services: Services) -> Counter[str]:
    """Living sandboxes by API."""
    try:
        status = await services.sandboxes.status()
    except SandboxError as error:
        raise public_error(error) from error
    return Counter(each.spec.api_id for each in status.sandboxes if each.spec is not None)


async def _rows(services: Services, wanted: str | None) -> AsyncIterator[Mapping[str, Any]]:
    """Page by page, so that ten thousand of them never are in memory at once."""
    after: str | None = None
    while True:
        page = await generations.routes_after(services.database, after, PAGE, only=wanted)
        for row in page:
            yield row
        if len(page) < PAGE:
            return
        after = page[-1]["id"]


def _read(row: Mapping[str, Any]) -> Route:
    if "error" in row:
        raise BrokenRouteError(row["id"], row["error"], may_serve=False)
    return read(row["route"], Route.from_row)


def _described(route: Route, sandboxes: int) -> WouldReload:
    return WouldReload(
        api_id=route.api_id,
        generation=route.generation,
        next_generation=route.generation + 1,
        versions=tuple(version.n for version in route.versions),
        sandboxes=sandboxes,
    )
