"""Jobs in a test's database, queued and claimed with one call each."""

import json
from typing import Any
from uuid import UUID, uuid4

import asyncpg

from gateway.store import edits, jobs
from gateway.store.database import Database, Row
from gateway.store.jobs import HeldJob
from tests.support.factories import MadeApi, Person


def new_job(person: Person, **more: Any) -> dict[str, Any]:
    """What `create_jobs` takes."""
    return {
        "id": str(uuid4()),
        "tenant_id": person.tenant_id,
        "created_by": person.id,
        "prompt": "an API that tells the time",
        "api_id": str(uuid4()),
        "version_id": str(uuid4()),
        **more,
    }


async def queue(database: Database, person: Person, **more: Any) -> UUID:
    """A job that waits for a worker."""
    return (await jobs.create(database, [new_job(person, **more)], 100))[0].id


async def claimed(database: Database, worker: str = "a worker") -> HeldJob:
    """The next job in turn."""
    row = await claimed_row(database, worker)
    return HeldJob(database, UUID(row["id"]), row["claims"])


async def claimed_row(database: Database, worker: str = "a worker") -> Row:
    """The same with all its columns."""
    row = await jobs.claim(database, worker, 100)
    assert row is not None, "nothing waits"
    return row


async def queue_edit(database: Database, person: Person, api: MadeApi, **more: Any) -> UUID:
    """A job that changes an API whose version has an origin."""
    wanted = new_job(person, tenant_id=api.tenant_id, edits_api_id=api.id, **more)
    return (await edits.create(database, wanted, 100)).id


async def make_origin(dsn: str, api: MadeApi, contract: dict[str, Any], body: str) -> None:
    """Let the API's first version be one that was made from words."""
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(
            "insert into public.version_origins (version_id, api_id, prompt, contract, body)"
            " values ($1, $2, 'a clock', $3, $4)",
            api.version_id, api.id, json.dumps(contract), body,
        )  # fmt: skip
    finally:
        await connection.close()
