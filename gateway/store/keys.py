"""The one query about keys on the way of a call."""

from gateway.store.database import SERVICE, Database, Filter, Row


async def gateway_key(database: Database, key_hash: str) -> Row | None:
    """The key with this hash, revoked and expired ones included; None when there is none."""
    row: Row | None = await database.rpc("gateway_key", {"p_key_hash": key_hash}, identity=SERVICE)
    if row is None or row["tenant_status"] == "active":
        return row
    return {**row, "tenant_reason": await _reason(database, row["tenant_id"])}


async def _reason(database: Database, tenant_id: str) -> str | None:
    """Why it is suspended; asked apart, since it hardly ever is."""
    rows = await database.select(
        "tenants",
        identity=SERVICE,
        columns="suspended_reason",
        where=[Filter("id", "eq", tenant_id)],
    )
    return rows[0]["suspended_reason"] if rows else None
