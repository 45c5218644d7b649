"""The audit log in the database: one more entry, and pages of it, newest first."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from gateway.store.apis import text
from gateway.store.database import SERVICE, Database, Filter, Row

_COLUMNS = "id,at,actor_id,actor,action,target_type,target_id,reason,address,request_id,detail"


async def record(
    database: Database,
    actor: UUID | None,
    action: str,
    target: tuple[str, str],
    detail: Mapping[str, Any] | None = None,
) -> None:
    """An entry for what changes no row. `target` is its type and its id."""
    arguments = {
        "p_actor": text(actor),
        "p_action": action,
        "p_target_type": target[0],
        "p_target_id": target[1],
        "p_detail": dict(detail or {}),
    }
    await database.rpc("record_audit", arguments, identity=SERVICE)


async def page(database: Database, where: Sequence[Filter], limit: int) -> list[Row]:
    """Entries that fit, newest first."""
    return await database.select(
        "audit_log",
        identity=SERVICE,
        columns=_COLUMNS,
        where=where,
        order="id.desc",
        limit=limit,
    )
