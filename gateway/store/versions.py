"""Versions and deployments in the database."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from gateway.store.apis import text, with_numbers
from gateway.store.database import SERVICE, Database, Filter, Identity, Row

_COLUMNS = "id,api_id,n,digest,created_by,created_at"


async def page(
    database: Database, identity: Identity, api_id: UUID, limit: int, offset: int
) -> list[Row]:
    """Newest first, without the code."""
    return await database.select(
        "api_versions",
        identity=identity,
        columns=_COLUMNS,
        where=[Filter("api_id", "eq", str(api_id))],
        order="n.desc",
        limit=limit,
        offset=offset,
    )


async def find(database: Database, identity: Identity, api_id: UUID, n: int) -> Row | None:
    """One version with its code and dependencies."""
    rows = await database.select(
        "api_versions",
        identity=identity,
        columns=_COLUMNS + ",code,lock,layer,openapi_note",
        where=[Filter("api_id", "eq", str(api_id)), Filter("n", "eq", n)],
        limit=1,
    )
    return rows[0] if rows else None


async def document(database: Database, identity: Identity, api_id: UUID, n: int) -> Row | None:
    """Its OpenAPI document, or why there is none."""
    rows = await database.select(
        "api_versions",
        identity=identity,
        columns="openapi,openapi_note",
        where=[Filter("api_id", "eq", str(api_id)), Filter("n", "eq", n)],
        limit=1,
    )
    return rows[0] if rows else None


async def numbers(
    database: Database, identity: Identity, version_ids: Sequence[str]
) -> dict[str, int]:
    """Number by id of those that exist."""
    if not version_ids:
        return {}
    rows = await database.select(
        "api_versions",
        identity=identity,
        columns="id,n",
        where=[Filter("id", "in", list(version_ids))],
    )
    return {str(row["id"]): row["n"] for row in rows}


async def add(database: Database, values: Mapping[str, Any]) -> Row:
    """Store the next version, deployed when asked to."""
    stored: Row = await database.rpc("add_version", {"p": dict(values)}, identity=SERVICE)
    return stored


async def deployments(
    database: Database, identity: Identity, api_id: UUID, limit: int, offset: int
) -> list[Row]:
    """Newest first, replaced ones included."""
    rows = await database.select(
        "deployments",
        identity=identity,
        columns="id,api_id,version_id,weight,status,created_by,created_at",
        where=[Filter("api_id", "eq", str(api_id))],
        order="created_at.desc,id",
        limit=limit,
        offset=offset,
    )
    return await with_numbers(database, identity, rows)


async def deployment(database: Database, identity: Identity, deployment_id: UUID) -> Row | None:
    """One of any API that the identity may see."""
    rows = await database.select(
        "deployments",
        identity=identity,
        columns="id,api_id,version_id,weight,status,created_by,created_at",
        where=[Filter("id", "eq", str(deployment_id))],
        limit=1,
    )
    return (await with_numbers(database, identity, rows))[0] if rows else None


async def newest(database: Database, identity: Identity, api_id: UUID) -> int | None:
    """Number of the last version that was stored."""
    rows = await page(database, identity, api_id, 1, 0)
    return int(rows[0]["n"]) if rows else None


async def origin(database: Database, identity: Identity, version_id: str) -> Row | None:
    """Where a version that was made from words comes from; None for any other."""
    rows = await database.select(
        "version_origins",
        identity=identity,
        columns="job_id,prompt,contract,body,findings,report,model,template,level,cost_nano_usd",
        where=[Filter("version_id", "eq", version_id)],
        limit=1,
    )
    return rows[0] if rows else None


async def deploy(database: Database, api_id: UUID, n: int, weight: int, actor: UUID | None) -> Row:
    """Let version `n` answer this share of the calls."""
    arguments = {
        "p_api_id": str(api_id),
        "p_n": n,
        "p_weight": weight,
        "p_actor": text(actor),
    }
    row: Row = await database.rpc("deploy_version", arguments, identity=SERVICE)
    return row


async def roll_back(database: Database, api_id: UUID, actor: UUID | None) -> Row:
    """Deploy what was fully deployed before."""
    arguments = {"p_api_id": str(api_id), "p_actor": text(actor)}
    row: Row = await database.rpc("rollback_api", arguments, identity=SERVICE)
    return row
