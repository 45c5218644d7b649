"""Tenants that people make, and their members, in the database.

Each of these functions checks in its own transaction whether the actor may: a role that is
taken away at the same moment counts no more. No actor is the holder of the admin key.
"""

from datetime import datetime
from uuid import UUID

from gateway.store.apis import text
from gateway.store.database import SERVICE, Database, Row


async def create_own_tenant(
    database: Database, tenant_id: UUID, name: str, actor: UUID, *, most: int
) -> Row:
    """A tenant with its maker as owner; nobody owns more than `most`."""
    values = {"id": str(tenant_id), "name": name, "actor": str(actor), "most": most}
    row: Row = await database.rpc("create_own_tenant", {"p": values}, identity=SERVICE)
    return row


async def rename(database: Database, tenant_id: UUID, name: str, actor: UUID | None) -> Row:
    """The tenant under its new name."""
    arguments = {"p_tenant_id": str(tenant_id), "p_name": name, "p_actor": text(actor)}
    row: Row = await database.rpc("rename_tenant", arguments, identity=SERVICE)
    return row


async def transfer(database: Database, tenant_id: UUID, user_id: UUID, actor: UUID | None) -> Row:
    """The tenant with its new owner."""
    arguments = _arguments(tenant_id, actor) | {"p_user_id": str(user_id)}
    row: Row = await database.rpc("transfer_tenant", arguments, identity=SERVICE)
    return row


async def remove_tenant(database: Database, tenant_id: UUID, actor: UUID | None) -> list[str]:
    """Ids of the APIs that went with it."""
    row: Row = await database.rpc("remove_tenant", _arguments(tenant_id, actor), identity=SERVICE)
    return [str(api_id) for api_id in row["api_ids"]]


async def people(
    database: Database, tenant_id: UUID, actor: UUID | None, limit: int, offset: int
) -> list[Row]:
    """The members with their addresses, owners first."""
    arguments = _arguments(tenant_id, actor) | {"p_limit": limit, "p_offset": offset}
    rows: list[Row] = await database.rpc("tenant_people", arguments, identity=SERVICE)
    return rows


async def add(
    database: Database, tenant_id: UUID, user_id: UUID, role: str, actor: UUID | None
) -> Row:
    """A new member."""
    arguments = _arguments(tenant_id, actor) | {"p_user_id": str(user_id), "p_role": role}
    row: Row = await database.rpc("add_member", arguments, identity=SERVICE)
    return row


async def change(
    database: Database, tenant_id: UUID, user_id: UUID, role: str, actor: UUID | None
) -> Row:
    """The member with another role."""
    arguments = _arguments(tenant_id, actor) | {"p_user_id": str(user_id), "p_role": role}
    row: Row = await database.rpc("change_member", arguments, identity=SERVICE)
    return row


async def remove(database: Database, tenant_id: UUID, user_id: UUID, actor: UUID | None) -> None:
    """One member less."""
    arguments = _arguments(tenant_id, actor) | {"p_user_id": str(user_id)}
    await database.rpc("remove_member", arguments, identity=SERVICE)


async def usage(
    database: Database, tenant_id: UUID, actor: UUID | None, since: datetime
) -> list[Row]:
    """Calls by day, newest first."""
    arguments = _arguments(tenant_id, actor) | {"p_since": since.isoformat()}
    rows: list[Row] = await database.rpc("tenant_calls", arguments, identity=SERVICE)
    return rows


def _arguments(tenant_id: UUID, actor: UUID | None) -> dict[str, object]:
    return {"p_tenant_id": str(tenant_id), "p_actor": text(actor)}
