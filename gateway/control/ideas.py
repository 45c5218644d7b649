"""Routes in the orchestrator's words: thin other names for jobs, over the same rows."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Request, Response
from pydantic import BaseModel

from gateway.control.models import Body, Page, PageLimit, PageOffset
from gateway.control.services import Control, Ops
from gateway.control.subject import Signed
from gateway.operations import generate, ideas, jobs
from gateway.operations.generate import NewJob
from gateway.operations.ideas import EventSummary, Service, ServiceEvent
from gateway.operations.jobs import JobFilter

router = APIRouter(prefix="/api", tags=["generate"])
Id = Annotated[UUID, Path()]


class IdeaBody(Body):
    """What the service shall do."""

    idea: str
    tenant_id: UUID | None = None


class EventsView(BaseModel):
    """Every step, oldest first."""

    items: list[ServiceEvent]


@router.post("/ideas", status_code=202)
async def submit_idea(
    body: IdeaBody, request: Request, response: Response, services: Control, subject: Signed
) -> Service:
    """The same as `POST /api/generate`."""
    asked = generate.Request(body.tenant_id)
    wanted = [NewJob(body.idea)]
    made = (await generate.generate(services.operations, subject, wanted, asked))[0]
    services.metrics.jobs_taken("idea", 1)
    response.headers["Location"] = f"/api/services/{made.id}"
    job = await jobs.read_job(services.operations, subject, made.id)
    return ideas.service_of(job, str(request.base_url))


@router.get("/services")
async def list_services(
    request: Request,
    services: Ops,
    subject: Signed,
    tenant_id: UUID | None = None,
    limit: PageLimit = 50,
    offset: PageOffset = 0,
) -> Page[Service]:
    """Your jobs as services, newest first."""
    wanted = JobFilter(tenant_id=tenant_id)
    found = await jobs.list_jobs(services, subject, wanted, limit, offset)
    items = [ideas.service_of(job, str(request.base_url)) for job in found]
    return Page(items=items, limit=limit, offset=offset)


@router.get("/services/{service_id}")
async def read_service(service_id: Id, request: Request, services: Ops, subject: Signed) -> Service:
    """One of them."""
    job = await jobs.read_job(services, subject, service_id)
    return ideas.service_of(job, str(request.base_url))


@router.get("/services/{service_id}/events")
async def read_events(service_id: Id, services: Ops, subject: Signed) -> EventsView:
    """What has happened so far; `GET /api/jobs/{id}/events` follows it live."""
    return EventsView(items=await ideas.service_events(services, subject, service_id))


@router.get("/services/{service_id}/events/summary")
async def summarize_events(service_id: Id, services: Ops, subject: Signed) -> EventSummary:
    """How often each status was reached."""
    return await ideas.summary(services, subject, service_id)


@router.get("/services/{service_id}/summary")
async def summarize(service_id: Id, services: Ops, subject: Signed) -> EventSummary:
    """The same under a shorter name."""
    return await ideas.summary(services, subject, service_id)
