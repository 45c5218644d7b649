"""Invitations to tenants in the database; the hash of their tokens never leaves it."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from gateway.store.apis import text
from gateway.store.database import SERVICE, Database, Filter, Identity, Row

_COLUMNS = "id,tenant_id,email,role,invited_by,created_at,expires_at,accepted_at,revoked_at"


async def invite(database: Database, values: Mapping[str, Any]) -> Row:
    """Store one, in place of an open one to the same address. `Any`: JSON."""
    row: Row = await database.rpc("invite_member", {"p": dict(values)}, identity=SERVICE)
    return row


async def page(
    database: Database, identity: Identity, tenant_id: UUID, limit: int, offset: int
) -> list[Row]:
    """Those of a tenant that the identity may see, newest first."""
    return await database.select(
        "tenant_invitations",
        identity=identity,
        columns=_COLUMNS,
        where=[Filter("tenant_id", "eq", str(tenant_id))],
        order="created_at.desc,id",
        limit=limit,
        offset=offset,
    )


async def revoke(
    database: Database, tenant_id: UUID, invitation_id: UUID, actor: UUID | None
) -> None:
    """It cannot be accepted any more."""
    arguments = {"p_tenant_id": str(tenant_id), "p_id": str(invitation_id), "p_actor": text(actor)}
    await database.rpc("revoke_invitation", arguments, identity=SERVICE)


async def accept(database: Database, token_hash: str, actor: UUID) -> Row:
    """The tenant, with the role that the actor has there now."""
    arguments = {"p_token_hash": token_hash, "p_actor": str(actor)}
    row: Row = await database.rpc("accept_invitation", arguments, identity=SERVICE)
    return row
