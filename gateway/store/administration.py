"""What administrators look for and change, in the database."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from gateway.store.apis import text
from gateway.store.database import SERVICE, Database, Row


@dataclass(frozen=True, slots=True)
class Search:
    """What is looked for. `after` are moment and id of the last row of the page before."""

    text: str
    is_prefix: bool
    limit: int
    after: tuple[str, str] | None = None


async def search(
    database: Database, what: Literal["admin_users", "admin_tenants"], wanted: Search
) -> list[Row]:
    """People or tenants, newest first."""
    at, identifier = wanted.after or (None, None)
    arguments = {
        "p_q": wanted.text,
        "p_is_prefix": wanted.is_prefix,
        "p_limit": wanted.limit,
        "p_after_at": at,
        "p_after_id": identifier,
    }
    rows: list[Row] = await database.rpc(what, arguments, identity=SERVICE)
    return rows


async def user(database: Database, user_id: UUID, since: datetime) -> Row | None:
    """A person with tenants, APIs and usage since then."""
    arguments = {"p_user_id": str(user_id), "p_since": since.isoformat()}
    row: Row | None = await database.rpc("admin_user", arguments, identity=SERVICE)
    return row


async def tenant(database: Database, tenant_id: UUID, since: datetime) -> Row | None:
    """A tenant with members, APIs and usage since then."""
    arguments = {"p_tenant_id": str(tenant_id), "p_since": since.isoformat()}
    row: Row | None = await database.rpc("admin_tenant", arguments, identity=SERVICE)
    return row


async def set_admin(database: Database, user_id: UUID, is_admin: bool, actor: UUID | None) -> None:
    """Make somebody an administrator, or no more."""
    arguments = {"p_user_id": str(user_id), "p_is_admin": is_admin, "p_actor": text(actor)}
    await database.rpc("set_admin", arguments, identity=SERVICE)


async def set_tenant_status(
    database: Database, tenant_id: UUID, status: str, reason: str, actor: UUID | None
) -> None:
    """Suspend or restore."""
    arguments = {
        "p_tenant_id": str(tenant_id),
        "p_status": status,
        "p_reason": reason,
        "p_actor": text(actor),
    }
    await database.rpc("set_tenant_status", arguments, identity=SERVICE)


async def create_team(database: Database, values: Mapping[str, Any], actor: UUID | None) -> UUID:
    """A tenant owned by `owner_id` or `owner_email`."""
    arguments = {"p": dict(values), "p_actor": text(actor)}
    return UUID(await database.rpc("create_team_of", arguments, identity=SERVICE))
