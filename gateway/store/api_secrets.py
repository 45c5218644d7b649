"""Secrets of APIs in the database: names for those who may look, ciphertext for the service."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from gateway.store.apis import text
from gateway.store.database import SERVICE, Database, Filter, Identity, Row


@dataclass(frozen=True, slots=True)
class SealedSecret:
    """A secret to store; `size` is that of the value before it was sealed."""

    name: str
    sealed: bytes
    size: int
    hosts: Sequence[str] | None
    placeholder: str | None


async def names(database: Database, identity: Identity, api_id: UUID) -> list[Row]:
    """Name, hosts and time of each, never the value."""
    return await database.select(
        "api_secrets",
        identity=identity,
        columns="name,hosts,updated_at",
        where=[Filter("api_id", "eq", str(api_id))],
        order="name",
    )


async def placeholder(database: Database, api_id: UUID, name: str) -> str | None:
    """What the code sees instead of this secret, when it sees a placeholder already."""
    rows = await database.select(
        "api_secrets",
        identity=SERVICE,
        columns="placeholder",
        where=[Filter("api_id", "eq", str(api_id)), Filter("name", "eq", name)],
        limit=1,
    )
    return rows[0]["placeholder"] if rows else None


async def put(database: Database, api_id: UUID, secret: SealedSecret, actor: UUID | None) -> Row:
    """Store it and start a new generation; answers name, hosts, updated_at and generation."""
    values = {
        "name": secret.name,
        "value": base64.b64encode(secret.sealed).decode(),
        "bytes": secret.size,
        "hosts": None if secret.hosts is None else list(secret.hosts),
        "placeholder": secret.placeholder,
    }
    arguments = {"p_api_id": str(api_id), "p": values, "p_actor": text(actor)}
    row: Row = await database.rpc("set_secret", arguments, identity=SERVICE)
    return row


async def remove(database: Database, api_id: UUID, name: str, actor: UUID | None) -> Row:
    """Delete it and start a new generation; answers name and generation."""
    arguments = {"p_api_id": str(api_id), "p_name": name, "p_actor": text(actor)}
    row: Row = await database.rpc("delete_secret", arguments, identity=SERVICE)
    return row
