"""Jobs in the database: reads as whoever asks, changes through SQL functions.

A worker writes with the number of its claim: whoever holds an older one changes nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from gateway.store.apis import text
from gateway.store.database import SERVICE, Database, Filter, Identity, Row
from gateway.store.documents import StoredDocument

COLUMNS = (
    "id,tenant_id,created_by,batch_id,retry_of,prompt,name,answers,template,approve,status,"
    "waiting_for,is_approved,cancel_requested,contract,findings,questions,assumptions,report,model,"
    "failure,cost_nano_usd,cap_nano_usd,api_id,version,attempts,events,created_at,updated_at,"
    "started_at,finished_at"
)
SUMMARY = (
    "id,tenant_id,created_by,batch_id,retry_of,name,template,approve,status,waiting_for,model,"
    "failure,cost_nano_usd,cap_nano_usd,api_id,version,attempts,created_at,updated_at,started_at,"
    "finished_at"
)


@dataclass(frozen=True, slots=True)
class Made:
    """A job that was asked for; not new when the same request came before."""

    id: UUID
    is_new: bool


async def create(
    database: Database, jobs: Sequence[Mapping[str, Any]], open_jobs: int
) -> list[Made]:
    """All of them or none. `Any`: JSON."""
    arguments = {"p": [dict(one) for one in jobs], "p_open": open_jobs}
    rows = await database.rpc("create_jobs", arguments, identity=SERVICE)
    return [Made(UUID(row["id"]), row["is_new"]) for row in rows]


async def find(database: Database, identity: Identity, job_id: UUID) -> Row | None:
    """One, when the identity may see it."""
    where = [Filter("id", "eq", str(job_id))]
    rows = await database.select("jobs", identity=identity, columns=COLUMNS, where=where, limit=1)
    return rows[0] if rows else None


async def progress(database: Database, identity: Identity, job_id: UUID) -> Row | None:
    """Status and number of events alone, for whoever looks again and again."""
    where = [Filter("id", "eq", str(job_id))]
    rows = await database.select(
        "jobs", identity=identity, columns="status,events", where=where, limit=1
    )
    return rows[0] if rows else None


async def page(
    database: Database,
    identity: Identity,
    where: Sequence[Filter],
    limit: int,
    offset: int,
    columns: str = COLUMNS,
) -> list[Row]:
    """Newest first; only what the identity may see."""
    return await database.select(
        "jobs",
        identity=identity,
        columns=columns,
        where=where,
        order="created_at.desc,id",
        limit=limit,
        offset=offset,
    )


async def events(
    database: Database, identity: Identity, job_id: UUID, after: int, limit: int = 200
) -> list[Row]:
    """Behind the event of this number, in their order."""
    return await database.select(
        "job_events",
        identity=identity,
        columns="n,at,kind,text,data",
        where=[Filter("job_id", "eq", str(job_id)), Filter("n", "gt", after)],
        order="n",
        limit=limit,
    )


async def told(database: Database, job_id: UUID, kinds: Sequence[str]) -> list[Row]:
    """The events of these kinds, for whoever goes on with the job."""
    return await database.select(
        "job_events",
        identity=SERVICE,
        columns="kind,text,data",
        where=[Filter("job_id", "eq", str(job_id)), Filter("kind", "in", list(kinds))],
        order="n",
    )


async def cancel(database: Database, job_id: UUID, actor: UUID | None) -> None:
    """End a queued one, tell a running one."""
    arguments = {"p_id": str(job_id), "p_actor": text(actor)}
    await database.rpc("cancel_job", arguments, identity=SERVICE)


async def answer(
    database: Database, job_id: UUID, values: Mapping[str, Any], actor: UUID | None
) -> None:
    """Say what a job waits for: contract or answers. `Any`: JSON."""
    arguments = {"p_id": str(job_id), "p": dict(values), "p_actor": text(actor)}
    await database.rpc("answer_job", arguments, identity=SERVICE)


async def purge(database: Database, days: int) -> int:
    """What was over so many days ago goes; how many rows that were."""
    return int(await database.rpc("purge_jobs", {"p_days": days}, identity=SERVICE))


# --- for workers ----------------------------------------------------------------------------


async def reclaim(database: Database, dead_seconds: float, attempts: int) -> int:
    """Take jobs from workers that are silent; how many."""
    arguments = {"p_dead_seconds": dead_seconds, "p_attempts": attempts}
    return int(await database.rpc("reclaim_jobs", arguments, identity=SERVICE))


async def claim(database: Database, worker: str, tenant_running: int) -> Row | None:
    """The next one in turn with all its columns; None when nothing is to be done."""
    arguments = {"p_worker": worker, "p_tenant_running": tenant_running}
    row: Row | None = await database.rpc("claim_job", arguments, identity=SERVICE)
    return row


@dataclass(frozen=True, slots=True)
class HeldJob:
    """A job as the worker that claimed it writes to it."""

    database: Database
    id: UUID
    claim: int

    async def beat(self) -> str:
        """Still alive; answers go, cancel, stop or leave."""
        return str(await self._rpc("beat_job"))

    async def advance(self, values: Mapping[str, Any]) -> bool:
        """Events and what they tell; False when the job is somebody else's. `Any`: JSON."""
        return bool(await self._rpc("advance_job", p=dict(values)))

    async def finish(
        self, status: str, failure: Mapping[str, str] | None, events: Sequence[Row]
    ) -> bool:
        """Over."""
        detail = None if failure is None else dict(failure)
        return bool(
            await self._rpc("finish_job", p_status=status, p_failure=detail, p_events=list(events))
        )

    async def put_back(self, waiting_for: str | None, events: Sequence[Row]) -> bool:
        """Into the queue again, or until somebody says something."""
        return bool(
            await self._rpc("put_job_back", p_waiting_for=waiting_for, p_events=list(events))
        )

    async def store(
        self,
        api: Mapping[str, Any],
        origin: Mapping[str, Any],
        events: Sequence[Row],
        document: StoredDocument,
    ) -> Row | None:
        """The API with its first version; once more is the same one. `Any`: JSON."""
        said: dict[str, object] = (
            {"p_document": document.document} if document.document else {"p_note": document.note}
        )
        row: Row | None = await self._rpc(
            "store_job", p_api=dict(api), p_origin=dict(origin), p_events=list(events), **said
        )
        return row

    async def _rpc(self, function: str, **more: object) -> Any:
        arguments = {"p_id": str(self.id), "p_claim": self.claim, **more}
        return await self.database.rpc(function, arguments, identity=SERVICE)
