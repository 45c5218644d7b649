"""Uploads in the database: who has which file, and which bytes nobody needs any more."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from gateway.store.apis import text
from gateway.store.database import SERVICE, Database, Filter, Identity, Row

HOLD_SECONDS = 600.0  # far longer than storing takes
_COLUMNS = (
    "id,tenant_id,created_by,purpose,profile_id,api_id,feedback_id,digest,media_type,name,bytes,"
    "width,height,created_at"
)


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much a tenant may have, and how many attachments a piece of feedback."""

    tenant_bytes: int
    attachments: int


async def hold(database: Database, upload: Mapping[str, Any], bounds: Bounds) -> bool:
    """Before the bytes are stored; False while the same bytes are being removed."""
    arguments = {**_arguments(upload, bounds), "p_seconds": HOLD_SECONDS}
    return bool(await database.rpc("hold_blob", arguments, identity=SERVICE))


async def add(database: Database, upload: Mapping[str, Any], bounds: Bounds) -> None:
    """After the bytes are stored. An icon takes the place of the one before it."""
    await database.rpc("add_upload", _arguments(upload, bounds), identity=SERVICE)


async def listed(
    database: Database, identity: Identity, where: Sequence[Filter], limit: int, offset: int
) -> list[Row]:
    """Newest first, as far as the identity may see them."""
    return await database.select(
        "uploads",
        identity=identity,
        columns=_COLUMNS,
        where=where,
        order="created_at.desc,id",
        limit=limit,
        offset=offset,
    )


async def find(database: Database, identity: Identity, upload_id: UUID) -> Row | None:
    """One, when the identity may see it."""
    rows = await listed(database, identity, [Filter("id", "eq", str(upload_id))], 1, 0)
    return rows[0] if rows else None


async def attached(database: Database, identity: Identity, feedback_id: UUID) -> list[Row]:
    """Attachments of this, oldest first."""
    return await database.select(
        "uploads",
        identity=identity,
        columns=_COLUMNS,
        where=[Filter("feedback_id", "eq", str(feedback_id))],
        order="created_at,id",
    )


async def of_api(database: Database, identity: Identity, api_id: UUID) -> Row | None:
    """The icon of an API."""
    rows = await listed(database, identity, [Filter("api_id", "eq", str(api_id))], 1, 0)
    return rows[0] if rows else None


async def held_bytes(database: Database, tenant_id: UUID) -> int:
    """What all files of a tenant take together, whoever may see them."""
    arguments = {"p_tenant_id": str(tenant_id)}
    return int(await database.rpc("upload_bytes", arguments, identity=SERVICE))


async def remove(database: Database, upload_id: UUID, actor: UUID | None) -> bool:
    """Forget it; False when it was gone already."""
    arguments = {"p_id": str(upload_id), "p_actor": text(actor)}
    return bool(await database.rpc("remove_upload", arguments, identity=SERVICE))


async def take_unused(database: Database, limit: int) -> list[str]:
    """Digests that nobody needs; nobody uses them again before `forget`."""
    digests: list[str] = await database.rpc(
        "take_unused_blobs", {"p_limit": limit}, identity=SERVICE
    )
    return digests


async def count_unused(database: Database) -> int:
    """Contents that nobody has any more and that are still there."""
    return int(await database.rpc("unused_blobs", {}, identity=SERVICE))


async def forget(database: Database, digests: Sequence[str]) -> None:
    """Their bytes are gone."""
    await database.rpc("forget_blobs", {"p_digests": list(digests)}, identity=SERVICE)


def _arguments(upload: Mapping[str, Any], bounds: Bounds) -> dict[str, Any]:
    return {
        "p": dict(upload),
        "p_tenant_bytes": bounds.tenant_bytes,
        "p_attachments": bounds.attachments,
    }
