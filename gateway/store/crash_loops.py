"""Versions that cannot run, in the database."""

from gateway.store.database import SERVICE, Database


async def revert(database: Database, api_id: str, version_id: str, reason: str) -> bool:
    """Put the version before a fresh one in its place; whether another one answers now."""
    arguments = {"p_api_id": api_id, "p_version_id": version_id, "p_reason": reason}
    answer = await database.rpc("revert_crashed_version", arguments, identity=SERVICE)
    return bool(answer["reverted"])
