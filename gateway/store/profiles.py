"""Profiles in the database: one's own whole, of others what they show."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from gateway.store.database import SERVICE, Database, Filter, Identity, Row


async def own(database: Database, identity: Identity, user_id: UUID) -> Row | None:
    """What only its owner sees: address, preferences."""
    return await _one(
        database, identity, "user_profiles", user_id, "id,email,is_admin,preferences,created_at"
    )


async def shown(database: Database, identity: Identity, user_id: UUID) -> Row | None:
    """What this identity may see of somebody."""
    return await _one(database, identity, "public_profiles", user_id, "*")


async def change(database: Database, user_id: UUID, values: Mapping[str, Any]) -> None:
    """Change what is given. `Any`: JSON of the columns."""
    arguments = {"p_user_id": str(user_id), "p": dict(values)}
    await database.rpc("update_profile", arguments, identity=SERVICE)


async def _one(
    database: Database, identity: Identity, table: str, user_id: UUID, columns: str
) -> Row | None:
    rows = await database.select(
        table,
        identity=identity,
        columns=columns,
        where=[Filter("id", "eq", str(user_id))],
        limit=1,
    )
    return rows[0] if rows else None
