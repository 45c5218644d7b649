"""Queries of the call path: where a reference leads, and a pinned version."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, fields
from typing import Any

from gateway.store.call_settings import PLAIN, CallSettings
from gateway.store.database import SERVICE, Database
from gateway.store.route_check import BrokenRouteError, read
from sandbox.types import Resources, Tier

_RESOURCE_NAMES = frozenset(field.name for field in fields(Resources))


@dataclass(frozen=True, slots=True)
class Instances:
    """How many sandboxes a version may have, and how many calls each answers at once."""

    min: int = 0
    max: int = 1
    concurrency: int = 100


@dataclass(frozen=True, slots=True)
class ActiveVersion:
    """A version that answers; `weight` is its share among the active ones, 0 of a pinned one."""

    version_id: str
    n: int
    weight: int
    layer: str = ""  # digest of its dependencies


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Route:
    """What a reference leads to, as it stood when it was read. Changes never touch it."""

    api_id: str
    slug: str
    tenant_id: str
    tenant_status: str
    status: str
    generation: int
    limits: Mapping[str, int | None]
    resources: Resources
    versions: tuple[ActiveVersion, ...]
    floor: Tier | None = None
    instances: Instances = Instances()
    settings: CallSettings = PLAIN
    price_nano_usd: int = 0  # what one call costs whoever is not of the API's own tenant

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> "Route":
        """From what `gateway_route` answers."""
        return cls(
            api_id=row["api_id"],
            slug=row["slug"],
            tenant_id=row["tenant_id"],
            tenant_status=row["tenant_status"],
            status=row["status"],
            generation=row["generation"],
            limits=row["limits"] or {},
            resources=_resources(row["resources"] or {}),
            versions=tuple(
                ActiveVersion(each["version_id"], each["n"], each["weight"], each["layer"])
                for each in row["versions"] or ()
            ),
            floor=floor_of(row["tier"]),
            instances=instances_of(row["instances"]),
            settings=CallSettings.from_row(row["call_settings"]),
            price_nano_usd=row["price_nano_usd"],
        )


def floor_of(stored: str | None) -> Tier | None:
    """The weakest tier that will do; null asks for nothing."""
    return Tier(stored) if stored else None


def instances_of(stored: Mapping[str, Any]) -> Instances:
    """From the JSON column. `Any`: a cell of a row."""
    return Instances(stored["min"], stored["max"], stored["concurrency"])


def _resources(stored: Mapping[str, Any]) -> Resources:
    """Names this release does not know are left to the release that does."""
    return Resources(**{name: stored[name] for name in stored if name in _RESOURCE_NAMES})


class RouteStore:
    """The two reads of the call path, as the service."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def route(self, reference: str) -> Route | None:
        """By id or slug; None when no API has it."""
        row = await self._rpc("gateway_route", p_ref=reference)
        return None if row is None else read(row, Route.from_row)

    async def version(self, api_id: str, n: int) -> ActiveVersion | None:
        """Version `n` of an API whether it is active or not; None when there is no such version."""
        row = await self._rpc("gateway_version", p_api_id=api_id, p_n=n)
        return None if row is None else ActiveVersion(row["version_id"], n, 0, row["layer"])

    async def kept(self) -> list[Route]:
        """The active APIs that keep sandboxes whether they are called or not."""
        routes = []
        for row in await self._rpc("gateway_kept"):
            with suppress(BrokenRouteError):  # told of when it is called
                routes.append(read(row, Route.from_row))
        return routes

    async def _rpc(self, function: str, **arguments: object) -> Any:
        return await self._database.rpc(function, arguments, identity=SERVICE)
