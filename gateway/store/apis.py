"""APIs in the database: reads as whoever asks, changes through SQL functions."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from gateway.store.database import SERVICE, Database, Filter, Identity, Row

_PAGE = 1000
COLUMNS = (
    "id,tenant_id,created_by,slug,name,description,status,generation,limits,resources,"
    "egress,tier,instances,call_settings,price_nano_usd,created_at,updated_at"
)


async def find(database: Database, identity: Identity, ref: UUID | str) -> Row | None:
    """The API of this id or slug, when the identity may see it."""
    column = "id" if isinstance(ref, UUID) else "slug"
    rows = await database.select(
        "apis",
        identity=identity,
        columns=COLUMNS,
        where=[Filter(column, "eq", str(ref))],
        limit=1,
    )
    return rows[0] if rows else None


async def page(
    database: Database, identity: Identity, tenant_id: UUID | None, limit: int, offset: int
) -> list[Row]:
    """Newest first; only what the identity may see."""
    where = [] if tenant_id is None else [Filter("tenant_id", "eq", str(tenant_id))]
    return await database.select(
        "apis",
        identity=identity,
        columns=COLUMNS,
        where=where,
        order="created_at.desc,id",
        limit=limit,
        offset=offset,
    )


async def visible(database: Database, identity: Identity, ids: Sequence[str]) -> set[str]:
    """Those of the ids that the identity may see."""
    if not ids:
        return set()
    rows = await database.select(
        "apis", identity=identity, columns="id", where=[Filter("id", "in", list(ids))]
    )
    return {str(row["id"]) for row in rows}


async def count_active(database: Database) -> int:
    """How many APIs are active, of all tenants; page by page, since a page has an end."""
    count, after = 0, "00000000-0000-0000-0000-000000000000"
    while True:
        rows = await database.select(
            "apis",
            identity=SERVICE,
            columns="id",
            where=[Filter("status", "eq", "active"), Filter("id", "gt", after)],
            order="id",
            limit=_PAGE,
        )
        count += len(rows)
        if len(rows) < _PAGE:
            return count
        after = str(rows[-1]["id"])


async def active_deployments(
    database: Database, identity: Identity, api_ids: Sequence[str]
) -> list[Row]:
    """Deployments that answer now, each with number `n` and `layer` of its version."""
    if not api_ids:
        return []
    rows = await database.select(
        "deployments",
        identity=identity,
        columns="id,api_id,version_id,weight,status,created_by,created_at",
        where=[Filter("api_id", "in", list(api_ids)), Filter("status", "eq", "active")],
        order="weight.desc,created_at.desc",
    )
    return await with_numbers(database, identity, rows)


async def with_numbers(
    database: Database, identity: Identity, deployments: Sequence[Row]
) -> list[Row]:
    """The same rows with `n` and `layer` of each one's version."""
    wanted = sorted({str(row["version_id"]) for row in deployments})
    if not wanted:
        return []
    versions = await database.select(
        "api_versions", identity=identity, columns="id,n,layer", where=[Filter("id", "in", wanted)]
    )
    known = {str(row["id"]): {"n": row["n"], "layer": row["layer"]} for row in versions}
    unknown = {"n": 0, "layer": ""}
    return [{**row, **known.get(str(row["version_id"]), unknown)} for row in deployments]


async def create(database: Database, values: Mapping[str, Any]) -> Row:
    """API, version 1, deployment and key in one transaction."""
    stored: Row = await database.rpc("create_api", {"p": dict(values)}, identity=SERVICE)
    return stored


async def change(
    database: Database, api_id: UUID, values: Mapping[str, Any], actor: UUID | None
) -> Row:
    """Change the named columns."""
    arguments = {"p_api_id": str(api_id), "p": dict(values), "p_actor": text(actor)}
    row: Row = await database.rpc("update_api", arguments, identity=SERVICE)
    return row


async def remove(database: Database, api_id: UUID, actor: UUID | None) -> None:
    """Delete the API with its versions and deployments; its keys open it no longer."""
    await database.rpc(
        "delete_api", {"p_api_id": str(api_id), "p_actor": text(actor)}, identity=SERVICE
    )


async def bump_generation(
    database: Database, api_id: UUID, expected: int, actor: UUID | None
) -> int:
    """The next generation; when somebody else was faster, theirs."""
    arguments = {"p_api_id": str(api_id), "p_expected": expected, "p_actor": text(actor)}
    return int(await database.rpc("bump_generation", arguments, identity=SERVICE))


async def exists(database: Database, api_id: UUID) -> bool:
    """Whether the row is there, whoever may see it."""
    return await find(database, SERVICE, api_id) is not None


def text(value: UUID | None) -> str | None:
    """Ids travel as text."""
    return None if value is None else str(value)
