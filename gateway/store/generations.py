"""The generation of all announced changes, and the gateways that follow it."""

from dataclasses import dataclass
from typing import Any

from gateway.store.database import SERVICE, Database


@dataclass(frozen=True, slots=True)
class Report:
    """What a gateway tells of itself. Times are ISO 8601."""

    id: str
    node: str
    name: str
    pid: int
    started_at: str
    handled_at: str
    generation: int
    in_flight: int
    broken: dict[str, str]


async def current(database: Database) -> int:
    """The number of the last change that was committed."""
    return int(await database.rpc("gateway_generation", {}, identity=SERVICE))


async def forget_all(database: Database) -> int:
    """Every gateway forgets what it remembers; answers the generation of that."""
    return int(await database.rpc("gateway_forget_all", {}, identity=SERVICE))


async def report(database: Database, worker: Report) -> int:
    """Store what a gateway tells; answers the generation there is."""
    arguments = {f"p_{name}": getattr(worker, name) for name in Report.__slots__}
    return int(await database.rpc("gateway_report", arguments, identity=SERVICE))


async def left(database: Database, worker_id: str) -> None:
    """A gateway that ended says so."""
    await database.rpc("gateway_left", {"p_id": worker_id}, identity=SERVICE)


async def workers(database: Database) -> dict[str, Any]:
    """`generation` and `workers`, those that reported a moment ago. `Any`: JSON."""
    answer: dict[str, Any] = await database.rpc("gateway_workers", {}, identity=SERVICE)
    return answer


async def routes_after(
    database: Database, after: str | None, limit: int = 500, *, only: str | None = None
) -> list[dict[str, Any]]:
    """A page of `id` with `route` or `error`, by id. `Any`: JSON."""
    arguments = {"p_after": after, "p_limit": limit, "p_only": only}
    page: list[dict[str, Any]] = await database.rpc("gateway_routes", arguments, identity=SERVICE)
    return page
