"""What a route must be like to be served; a row made by hand may be anything."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from gateway.errors import UnavailableError

if TYPE_CHECKING:
    from gateway.store.routes import Route

_NOT_A_ROUTE = (KeyError, TypeError, ValueError, AttributeError, OverflowError)


class BrokenRouteError(UnavailableError):
    """The row of an API cannot be made a route.

    `may_serve` says that nothing in it stops the API, so what was known before may go on.
    """

    code, title = "route_broken", "The settings of this API are broken"

    def __init__(self, api_id: str, reason: str, *, may_serve: bool) -> None:
        super().__init__("Its owner or an administrator has to repair them.")
        self.api_id = api_id
        self.reason = reason
        self.may_serve = may_serve


def read(row: Mapping[str, Any], make: Callable[[Mapping[str, Any]], Route]) -> Route:
    """The route that `make` makes of a row; BrokenRouteError when it is none."""
    try:
        route = make(row)
        _check(route)
    except _NOT_A_ROUTE as error:
        active = row.get("status") == "active" and row.get("tenant_status") == "active"
        raise BrokenRouteError(
            str(row.get("api_id", "")), f"{type(error).__name__}: {error}", may_serve=active
        ) from error
    return route


def _check(route: Route) -> None:
    """ValueError for what would fail later, in the middle of a call."""
    _number("generation", route.generation, 1)
    for name in ("memory_mb", "pids", "tmp_mb"):
        _number(name, getattr(route.resources, name), 1)
    if not isinstance(route.resources.cpus, int | float) or route.resources.cpus <= 0:
        raise ValueError("cpus is not a number above 0")
    _number("min", route.instances.min, 0)
    _number("max", route.instances.max, max(1, route.instances.min))
    _number("concurrency", route.instances.concurrency, 1)
    for window, limit in route.limits.items():
        if limit is not None:
            _number(f"limit of the {window}", limit, 0)
    for version in route.versions:
        _number("version", version.n, 1)
        _number("weight", version.weight, 0)
    if route.versions and not sum(version.weight for version in route.versions):
        raise ValueError("no version has a weight")


def _number(name: str, value: object, least: int) -> None:
    if type(value) is not int or value < least:
        raise ValueError(f"{name} is not a whole number of at least {least}")
