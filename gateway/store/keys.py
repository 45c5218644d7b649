"""The one query about keys on the way of a call, and their hashes under a new secret."""

from collections.abc import Mapping, Sequence
from typing import Any

from gateway.store.database import SERVICE, Database, Filter, Row


async def gateway_key(database: Database, hashes: Sequence[str]) -> Row | None:
    """The key with one of these hashes, revoked and expired ones included; None for none.

    Among several, `place` is that of the hash, from 1 on.
    """
    row: Row | None
    if len(hashes) == 1:  # nearly always, and quicker
        row = await database.rpc("gateway_key", {"p_key_hash": hashes[0]}, identity=SERVICE)
    else:
        among = {"p_hashes": list(hashes)}
        row = await database.rpc("gateway_key_among", among, identity=SERVICE)
    if row is None or row["tenant_status"] == "active":
        return row
    return {**row, "tenant_reason": await _reason(database, row["tenant_id"])}


async def rehash(database: Database, keys: Sequence[Mapping[str, Any]]) -> int:
    """id, old_hash, new_hash of each; answers how many had the old one and could be used."""
    return int(await database.rpc("rehash_keys", {"p_keys": list(keys)}, identity=SERVICE))


async def count_to_rehash(database: Database, secret_id: str) -> int:
    """Keys that can be used and whose hash is not under the secret of this name."""
    return int(await database.rpc("keys_to_rehash", {"p_id": secret_id}, identity=SERVICE))


async def _reason(database: Database, tenant_id: str) -> str | None:
    """Why it is suspended; asked apart, since it hardly ever is."""
    rows = await database.select(
        "tenants",
        identity=SERVICE,
        columns="suspended_reason",
        where=[Filter("id", "eq", tenant_id)],
    )
    return rows[0]["suspended_reason"] if rows else None
