"""The orchestrator's words for jobs: an idea is a job's description, a service is the job."""

from collections import Counter
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from gateway.operations import job_events
from gateway.operations.access import Known
from gateway.operations.jobs import Job
from gateway.operations.ports import Services

ServiceStatus = Literal["queued", "generating", "generated", "deploying", "deployed", "failed"]
_STATUSES: dict[str, ServiceStatus] = {
    "queued": "queued",
    "running": "generating",
    "succeeded": "deployed",
    "failed": "failed",
    "cancelled": "failed",
}
_OF_EVENTS: dict[str, ServiceStatus] = {
    "queued": "queued",
    "checked": "generated",
    "version": "deploying",
    "deployed": "deployed",
    "failed": "failed",
    "gave_up": "failed",
    "cancelled": "failed",
}
_MOST = 1000


@dataclass(frozen=True, slots=True)
class Service:
    """A job in those words."""

    id: str
    idea: str
    requester_id: str | None
    status: ServiceStatus
    api_base_url: str | None
    created_at: str
    updated_at: str


@dataclass(frozen=True, slots=True)
class ServiceEvent:
    """A step in those words."""

    service_id: str
    status: ServiceStatus
    message: str
    created_at: str


@dataclass(frozen=True, slots=True)
class EventSummary:
    """How often each status was reached, and the last thing that was said."""

    service_id: str
    total: int
    by_status: dict[str, int]
    first_at: str | None
    last_at: str | None
    last_message: str


def service_of(job: Job, address: str) -> Service:
    """The job as a service; `address` is where APIs answer."""
    status = _STATUSES[job.status]
    if status == "generating" and job.api_id is not None:
        status = "deploying"
    return Service(
        id=job.id,
        idea=job.prompt,
        requester_id=job.created_by,
        status=status,
        api_base_url=f"{address.rstrip('/')}/{job.api_id}" if job.api_id else None,
        created_at=job.created_at,
        updated_at=job.updated_at,
    )


async def service_events(services: Services, subject: Known, job_id: UUID) -> list[ServiceEvent]:
    """Every step, oldest first."""
    found = await job_events.stored(services, subject, job_id, 0, _MOST)
    return [
        ServiceEvent(str(job_id), _OF_EVENTS.get(one.kind, "generating"), one.text, one.at)
        for one in found
    ]


async def summary(services: Services, subject: Known, job_id: UUID) -> EventSummary:
    """The same in one look."""
    events = await service_events(services, subject, job_id)
    return EventSummary(
        service_id=str(job_id),
        total=len(events),
        by_status=dict(Counter(one.status for one in events)),
        first_at=events[0].created_at if events else None,
        last_at=events[-1].created_at if events else None,
        last_message=events[-1].message if events else "",
    )
