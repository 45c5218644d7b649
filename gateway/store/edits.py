"""Edits in the database: a job's row beside it, what it starts from, and what was decided."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from gateway.store.apis import text
from gateway.store.database import SERVICE, Database, Filter, Identity, Row
from gateway.store.documents import StoredDocument
from gateway.store.jobs import HeldJob, Made

COLUMNS = (
    "job_id,tenant_id,api_id,from_version_id,version_id,level,breaking,decision,decided_by,"
    "decided_at,created_at"
)


async def create(database: Database, job: Mapping[str, Any], open_jobs: int) -> Made:
    """A job that changes the API it names. `Any`: JSON."""
    arguments = {"p": dict(job), "p_open": open_jobs}
    row = await database.rpc("create_edit", arguments, identity=SERVICE)
    return Made(UUID(row["id"]), row["is_new"])


async def find(database: Database, identity: Identity, job_id: UUID) -> Row | None:
    """One, when the identity may see it."""
    rows = await _select(database, identity, "job_id", job_id, 1, 0)
    return rows[0] if rows else None


async def page(
    database: Database, identity: Identity, api_id: UUID, limit: int, offset: int
) -> list[Row]:
    """Of one API, newest first."""
    return await _select(database, identity, "api_id", api_id, limit, offset)


async def origins(
    database: Database, identity: Identity, version_ids: Sequence[str]
) -> dict[str, Row]:
    """Contract and body of versions that were made from words, by version."""
    rows = await database.select(
        "version_origins",
        identity=identity,
        columns="version_id,contract,body",
        where=[Filter("version_id", "in", list(version_ids))],
    )
    return {str(row["version_id"]): row for row in rows}


async def start_of(database: Database, job_id: UUID) -> Row | None:
    """API, contract and body that an edit starts from; None for a job that is none."""
    row: Row | None = await database.rpc("edit_start", {"p_job_id": str(job_id)}, identity=SERVICE)
    return row


async def store(
    held: HeldJob,
    version: Mapping[str, Any],
    origin: Mapping[str, Any],
    events: Sequence[Row],
    document: StoredDocument,
) -> Row | None:
    """The next version, deployed nowhere; once more is the same. `Any`: JSON."""
    arguments: dict[str, Any] = {
        "p_id": str(held.id),
        "p_claim": held.claim,
        "p_version": dict(version),
        "p_origin": dict(origin),
        "p_events": list(events),
    }
    if document.document:
        arguments["p_document"] = document.document
    else:
        arguments["p_note"] = document.note
    row: Row | None = await held.database.rpc("store_edit", arguments, identity=SERVICE)
    return row


async def decide(
    database: Database, job_id: UUID, decision: str, actor: UUID | None, *, breaking: bool
) -> None:
    """Accepted, which deploys the version in the same step, or rejected."""
    arguments = {
        "p_job_id": str(job_id),
        "p_decision": decision,
        "p_breaking": breaking,
        "p_actor": text(actor),
    }
    await database.rpc("decide_edit", arguments, identity=SERVICE)


async def _select(
    database: Database, identity: Identity, column: str, value: UUID, limit: int, offset: int
) -> list[Row]:
    return await database.select(
        "job_edits",
        identity=identity,
        columns=COLUMNS,
        where=[Filter(column, "eq", str(value))],
        order="created_at.desc,job_id",
        limit=limit,
        offset=offset,
    )
