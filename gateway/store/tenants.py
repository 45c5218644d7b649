"""Tenants, memberships and plans in the database."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from gateway.store.apis import text
from gateway.store.database import SERVICE, Database, Filter, Identity, Row

_COLUMNS = "id,name,kind,owner_id,plan,status,limits,created_at"


async def role(
    database: Database, tenant_id: UUID, user_id: UUID, *, identity: Identity = SERVICE
) -> str | None:
    """The user's role in the tenant; None for a stranger."""
    rows = await database.select(
        "tenant_members",
        identity=identity,
        columns="role",
        where=[
            Filter("tenant_id", "eq", str(tenant_id)),
            Filter("user_id", "eq", str(user_id)),
        ],
        limit=1,
    )
    return str(rows[0]["role"]) if rows else None


async def memberships(
    database: Database, user_id: UUID, *, identity: Identity = SERVICE
) -> dict[str, str]:
    """Role of the user by tenant id."""
    rows = await database.select(
        "tenant_members",
        identity=identity,
        columns="tenant_id,role",
        where=[Filter("user_id", "eq", str(user_id))],
    )
    return {str(row["tenant_id"]): str(row["role"]) for row in rows}


async def of_ids(database: Database, identity: Identity, ids: Sequence[str]) -> list[Row]:
    """These tenants as far as the identity may see them, oldest first."""
    if not ids:
        return []
    return await database.select(
        "tenants",
        identity=identity,
        columns=_COLUMNS,
        where=[Filter("id", "in", list(ids))],
        order="created_at,id",
    )


async def personal(
    database: Database, user_id: UUID, *, identity: Identity = SERVICE
) -> Row | None:
    """The tenant that every user has alone."""
    rows = await database.select(
        "tenants",
        identity=identity,
        columns=_COLUMNS,
        where=[Filter("owner_id", "eq", str(user_id)), Filter("kind", "eq", "personal")],
        limit=1,
    )
    return rows[0] if rows else None


async def find(database: Database, tenant_id: UUID, *, identity: Identity = SERVICE) -> Row | None:
    """One tenant, when the identity may see it."""
    rows = await of_ids(database, identity, [str(tenant_id)])
    return rows[0] if rows else None


async def search(database: Database, query: str, limit: int, offset: int) -> list[Row]:
    """Tenants whose name contains the text, newest first."""
    escaped = query.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    where = [Filter("name", "ilike", f"%{escaped}%")] if query else []
    return await database.select(
        "tenants",
        identity=SERVICE,
        columns=_COLUMNS,
        where=where,
        order="created_at.desc,id",
        limit=limit,
        offset=offset,
    )


async def change(
    database: Database, tenant_id: UUID, values: Mapping[str, Any], actor: UUID | None
) -> Row:
    """Change plan, status or limits."""
    arguments = {"p_tenant_id": str(tenant_id), "p": dict(values), "p_actor": text(actor)}
    row: Row = await database.rpc("update_tenant", arguments, identity=SERVICE)
    return row


async def plan_limits(
    database: Database, *, identity: Identity = SERVICE
) -> dict[str, dict[str, int | None]]:
    """Limits by name of plan."""
    rows = await database.select("plans", identity=identity, columns="name,limits")
    return {str(row["name"]): dict(row["limits"]) for row in rows}
