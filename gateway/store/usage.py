"""Sums over recorded calls."""

from datetime import date, datetime
from uuid import UUID

from gateway.store.database import SERVICE, Database, Identity, Row


async def analytics(database: Database, identity: Identity, api_id: UUID, since: datetime) -> Row:
    """Calls of one API since a time, by day, version, key and path, as the identity sees them."""
    arguments = {"p_api_id": str(api_id), "p_since": since.isoformat()}
    sums: Row = await database.rpc("api_usage_sums", arguments, identity=identity)
    return sums


async def retire(database: Database, keep: date) -> Row | None:
    """Sum up some calls of before this month; None when none are left, or another does it."""
    step: Row | None = await database.rpc(
        "retire_usage", {"p_month": keep.isoformat()}, identity=SERVICE
    )
    return step


async def roll_up(database: Database, since: date) -> Row | None:
    """Sum up a day beside its calls; None when each since then is, or another does it."""
    step: Row | None = await database.rpc(
        "roll_up_usage", {"p_from": since.isoformat()}, identity=SERVICE
    )
    return step


async def kept_since(database: Database) -> datetime | None:
    """From when on every call is there by itself; None when none was summed up yet."""
    since: str | None = await database.rpc("usage_kept_since", {}, identity=SERVICE)
    return None if since is None else datetime.fromisoformat(since)
