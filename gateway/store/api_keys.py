"""Keys as their owners see them; the hash never leaves the database."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from gateway.store.apis import text
from gateway.store.database import SERVICE, Database, Filter, Identity, Row

_COLUMNS = (
    "id,tenant_id,created_by,name,display,limits,scopes,allowed_addresses,expires_at,ends_at,"
    "replaced_by,generation,revoked_at,revoked_reason,last_used_at,created_at"
)


async def page(
    database: Database, identity: Identity, api_id: UUID, limit: int, offset: int
) -> list[Row]:
    """Keys that open this API, newest first, revoked ones included."""
    opened = await database.select(
        "consumer_api_key_apis",
        identity=identity,
        columns="key_id",
        where=[Filter("api_id", "eq", str(api_id))],
    )
    if not opened:
        return []
    ids = [str(row["key_id"]) for row in opened]
    return await database.select(
        "consumer_api_keys",
        identity=identity,
        columns=_COLUMNS,
        where=[Filter("id", "in", ids)],
        order="created_at.desc,id",
        limit=limit,
        offset=offset,
    )


async def find(database: Database, identity: Identity, key_id: UUID) -> Row | None:
    """One key, when the identity may see it."""
    rows = await database.select(
        "consumer_api_keys",
        identity=identity,
        columns=_COLUMNS,
        where=[Filter("id", "eq", str(key_id))],
        limit=1,
    )
    return rows[0] if rows else None


async def create(database: Database, values: Mapping[str, Any]) -> Row:
    """Store a key by its hash."""
    row: Row = await database.rpc("create_key", {"p": dict(values)}, identity=SERVICE)
    return row


async def update(
    database: Database, key_id: UUID, values: Mapping[str, Any], actor: UUID | None
) -> None:
    """Change what is named; refuses for a revoked key."""
    await database.rpc(
        "update_key",
        {"p_key_id": str(key_id), "p": dict(values), "p_actor": text(actor)},
        identity=SERVICE,
    )


async def rotate(database: Database, values: Mapping[str, Any]) -> Row:
    """Store a successor by its hash and give the old key its end; answers the successor."""
    row: Row = await database.rpc("rotate_key", {"p": dict(values)}, identity=SERVICE)
    return row


async def report_leaked(
    database: Database, reports: Sequence[Mapping[str, str | None]], reporter: str
) -> list[str]:
    """Revoke the keys with these hashes; answers the ids of those that were not yet."""
    arguments = {"p_reports": [dict(report) for report in reports], "p_reporter": reporter}
    gone: list[str] = await database.rpc("report_leaked_keys", arguments, identity=SERVICE)
    return gone


async def count_leak_report(
    database: Database, origin: str, quantity: int, seconds: float
) -> float:
    """Count an unsigned report of this origin; answers the seconds to wait when it is too many."""
    arguments = {"p_origin": origin, "p_quantity": quantity, "p_seconds": seconds}
    return float(await database.rpc("count_leak_report", arguments, identity=SERVICE))


async def revoke(database: Database, key_id: UUID, actor: UUID | None) -> None:
    """The key opens nothing any more."""
    await database.rpc(
        "revoke_key", {"p_key_id": str(key_id), "p_actor": text(actor)}, identity=SERVICE
    )
