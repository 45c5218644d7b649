"""Sums over recorded calls."""

from datetime import datetime
from uuid import UUID

from gateway.store.database import Database, Identity, Row


async def analytics(database: Database, identity: Identity, api_id: UUID, since: datetime) -> Row:
    """Calls of one API since a time, by day, version, key and path, as the identity sees them."""
    arguments = {"p_api_id": str(api_id), "p_since": since.isoformat()}
    sums: Row = await database.rpc("api_analytics", arguments, identity=identity)
    return sums
