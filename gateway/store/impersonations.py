"""Open impersonations in the database; of a token only its hash is there."""

import hashlib
from typing import Any
from uuid import UUID

from gateway.store.database import SERVICE, Database, Row


def hash_token(token: str) -> str:
    """What is stored of it: the token is as random as the hash, so nothing slow is needed."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


async def start(
    database: Database, token: str, user_id: UUID, *, admin: UUID, session: UUID, seconds: int
) -> Row:
    """Open one; answers id, user and when it is over."""
    arguments: dict[str, Any] = {
        "p_token_hash": hash_token(token),
        "p_user_id": str(user_id),
        "p_session_id": str(session),
        "p_seconds": seconds,
        "p_actor": str(admin),
    }
    row: Row = await database.rpc("start_impersonation", arguments, identity=SERVICE)
    return row


async def find(database: Database, token: str) -> Row | None:
    """The open one with this token."""
    arguments = {"p_token_hash": hash_token(token)}
    row: Row | None = await database.rpc("gateway_impersonation", arguments, identity=SERVICE)
    return row


async def end(database: Database, impersonation_id: UUID, how: str) -> bool:
    """End one; whether it was open."""
    arguments = {"p_id": str(impersonation_id), "p_how": how}
    return bool(await database.rpc("end_impersonation", arguments, identity=SERVICE))


async def sweep(database: Database) -> None:
    """What is over is recorded as ended."""
    await database.rpc("sweep_impersonations", {}, identity=SERVICE)
