"""Events of a job as they come: first those that are stored, then each new one, to the end."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from gateway.errors import SandgateError
from gateway.operations import access
from gateway.operations.access import Known
from gateway.operations.jobs import OVER, visible
from gateway.operations.ports import Services
from gateway.store import jobs
from gateway.store.database import Identity, Row

POLL_SECONDS = 0.5
QUIET_SECONDS = 10.0  # then something is said, so that nobody between takes it for dead
MOST_SECONDS = 900.0  # then the client comes again with the last number it saw
_PAGE = 200


@dataclass(frozen=True, slots=True)
class JobEvent:
    """One step; `n` counts from 1 without gaps."""

    n: int
    at: str
    kind: str
    text: str
    data: dict[str, Any]


async def begin(
    services: Services, subject: Known, job_id: UUID, after: int
) -> AsyncIterator[JobEvent | None] | None:
    """The stream, or None when everything was seen already. None in it: nothing new for a while."""
    row = await visible(services, subject, job_id)
    if row["status"] in OVER and after >= row["events"]:
        return None
    return _follow(services, access.identity_of(subject), job_id, after)


async def stored(
    services: Services, subject: Known, job_id: UUID, after: int, limit: int
) -> list[JobEvent]:
    """A page of what is there already."""
    await visible(services, subject, job_id)
    rows = await jobs.events(services.database, access.identity_of(subject), job_id, after, limit)
    return [event_of(row) for row in rows]


async def _follow(
    services: Services, identity: Identity, job_id: UUID, after: int
) -> AsyncIterator[JobEvent | None]:
    """Read as the person all along: who may not look any more sees the end."""
    end = time.monotonic() + MOST_SECONDS
    said = time.monotonic()
    while time.monotonic() < end:
        try:
            rows = await jobs.events(services.database, identity, job_id, after, _PAGE)
            over = len(rows) < _PAGE and await _is_over(services, identity, job_id, after, rows)
        except SandgateError:
            return  # the client comes again
        for row in rows:
            after = row["n"]
            yield event_of(row)
        if over:
            return
        if rows:
            said = time.monotonic()
        elif time.monotonic() - said > QUIET_SECONDS:
            said = time.monotonic()
            yield None
        if len(rows) < _PAGE:
            await asyncio.sleep(POLL_SECONDS)


async def _is_over(
    services: Services, identity: Identity, job_id: UUID, after: int, rows: list[Row]
) -> bool:
    """Whether nothing comes behind these."""
    job = await jobs.progress(services.database, identity, job_id)
    last = rows[-1]["n"] if rows else after
    return job is None or (job["status"] in OVER and last >= job["events"])


def event_of(row: Row) -> JobEvent:
    """From a row of `job_events`."""
    return JobEvent(row["n"], row["at"], row["kind"], row["text"], row["data"])
