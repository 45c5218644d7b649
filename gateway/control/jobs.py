"""Routes of jobs: read, follow, cancel, answer, try again."""

from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel, Field

from gateway.control.event_stream import NOTHING_MORE, EventStream, LastEventId, answer
from gateway.control.generate import TakenView, taken
from gateway.control.models import Body, Page, PageLimit, PageOffset
from gateway.control.services import Control, Ops
from gateway.control.subject import Signed
from gateway.operations import generate, job_events, jobs
from gateway.operations.jobs import Job, JobFilter, ModelCall

router = APIRouter(prefix="/api/jobs", tags=["jobs"])
Id = Annotated[UUID, Path()]
Status = Literal["queued", "running", "succeeded", "failed", "cancelled"]


class ApproveBody(Body):
    """Nothing accepts the contract as it is; a `contract` takes its place.

    `answers` are for a job that waits for answers, by question.
    """

    contract: dict[str, Any] | None = None
    answers: dict[str, str] = Field(default_factory=dict, max_length=generate.ANSWERS_MAX)


class CallsView(BaseModel):
    """The ledger of one job."""

    items: list[ModelCall]


@router.get("")
async def list_jobs(
    services: Ops,
    subject: Signed,
    status: Status | None = None,
    batch_id: UUID | None = None,
    tenant_id: UUID | None = None,
    limit: PageLimit = 50,
    offset: PageOffset = 0,
) -> Page[Job]:
    """Jobs of your tenants, newest first."""
    wanted = JobFilter(status, batch_id, tenant_id)
    found = await jobs.list_jobs(services, subject, wanted, limit, offset)
    return Page(items=found, limit=limit, offset=offset)


@router.get("/{job_id}")
async def read_job(job_id: Id, services: Ops, subject: Signed) -> Job:
    """How far it is: status, cost, findings, questions, and the API once there is one."""
    return await jobs.read_job(services, subject, job_id)


@router.get("/{job_id}/events", response_class=EventStream, responses=NOTHING_MORE)
async def follow_job(
    job_id: Id, services: Ops, subject: Signed, last_event_id: LastEventId = None
) -> Response:
    """Every step as a server-sent event, those before included; ends when the job does."""
    return answer(await job_events.begin(services, subject, job_id, last_event_id or 0))


@router.get("/{job_id}/costs")
async def read_costs(job_id: Id, services: Ops, subject: Signed) -> CallsView:
    """Every call of a language model, with its tokens and its price."""
    return CallsView(items=await jobs.model_calls(services, subject, job_id))


@router.post("/{job_id}/cancel")
async def cancel_job(job_id: Id, services: Ops, subject: Signed) -> Job:
    """End it; one that runs ends within seconds, and nothing of it stays but its cost."""
    return await jobs.cancel_job(services, subject, job_id)


@router.delete("/{job_id}", status_code=204)
async def end_job(job_id: Id, services: Ops, subject: Signed) -> None:
    """The same as cancel."""
    await jobs.cancel_job(services, subject, job_id)


@router.post("/{job_id}/approve")
async def approve_job(job_id: Id, body: ApproveBody, services: Ops, subject: Signed) -> Job:
    """Say yes to the contract, change it, or answer the questions."""
    return await jobs.answer_job(services, subject, job_id, body.contract, body.answers)


@router.post("/{job_id}/retry", status_code=202)
async def retry_job(
    job_id: Id, response: Response, services: Control, subject: Signed
) -> TakenView:
    """Try a job that failed or was cancelled once more; it gets another id."""
    made = await jobs.retry_job(services.operations, subject, job_id)
    services.metrics.jobs_taken("retry", 1)
    return taken(made, response)
