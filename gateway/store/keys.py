"""The one query about keys on the way of a call."""

from gateway.store.database import SERVICE, Database, Row


async def gateway_key(database: Database, key_hash: str) -> Row | None:
    """The key with this hash, revoked and expired ones included; None when there is none."""
    row: Row | None = await database.rpc("gateway_key", {"p_key_hash": key_hash}, identity=SERVICE)
    return row
