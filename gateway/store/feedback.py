"""Feedback in the database."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from gateway.store.apis import text
from gateway.store.database import SERVICE, Database, Filter, Identity, Row

_COLUMNS = "id,user_id,type,status,title,text,answer,answered_at,created_at,updated_at"


async def create(
    database: Database, user_id: UUID, values: Mapping[str, str], quantity: int, seconds: float
) -> float:
    """Store it unless this person wrote `quantity` within `seconds`; then the seconds to wait."""
    arguments = {
        "p_user_id": str(user_id),
        "p": dict(values),
        "p_quantity": quantity,
        "p_seconds": seconds,
    }
    return float(await database.rpc("create_feedback", arguments, identity=SERVICE))


async def listed(
    database: Database,
    identity: Identity,
    where: Sequence[Filter],
    limit: int,
    offset: int,
) -> list[Row]:
    """Newest first, as far as the identity may see it."""
    return await database.select(
        "feedback",
        identity=identity,
        columns=_COLUMNS,
        where=where,
        order="created_at.desc,id",
        limit=limit,
        offset=offset,
    )


async def find(database: Database, identity: Identity, feedback_id: UUID) -> Row | None:
    """One, when the identity may see it."""
    rows = await listed(database, identity, [Filter("id", "eq", str(feedback_id))], 1, 0)
    return rows[0] if rows else None


async def answer(
    database: Database, feedback_id: UUID, values: Mapping[str, Any], actor: UUID | None
) -> None:
    """Set answer, status or both. `Any`: JSON of the columns."""
    arguments = {"p_id": str(feedback_id), "p": dict(values), "p_actor": text(actor)}
    await database.rpc("answer_feedback", arguments, identity=SERVICE)


async def remove(database: Database, user_id: UUID, feedback_id: UUID) -> bool:
    """Take back what this person wrote; False when there is no such thing of theirs."""
    where = [Filter("id", "eq", str(feedback_id)), Filter("user_id", "eq", str(user_id))]
    return bool(await database.delete("feedback", where=where, identity=SERVICE))


async def addresses(database: Database, user_ids: Sequence[str]) -> dict[str, str | None]:
    """E-mail addresses by id, for administrators."""
    if not user_ids:
        return {}
    rows = await database.select(
        "user_profiles",
        identity=SERVICE,
        columns="id,email",
        where=[Filter("id", "in", list(dict.fromkeys(user_ids)))],
    )
    return {str(row["id"]): row["email"] for row in rows}
