"""Routes that change an API in words, and decide on what came of it."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Request, Response
from pydantic import Field, StrictBool

from gateway.control.disconnect import while_connected
from gateway.control.generate import Key, TakenView, taken
from gateway.control.models import Body, Page, PageLimit, PageOffset
from gateway.control.services import Control, Ops
from gateway.control.subject import Signed
from gateway.operations import edits, generate
from gateway.operations.edits import Edit, NewEdit
from gateway.operations.generate import Approve

router = APIRouter(prefix="/api", tags=["generate"])
Id = Annotated[UUID, Path()]


class EditBody(Body):
    """What shall be different. With `approve: ask` it waits for you once its contract is there."""

    prompt: str
    answers: dict[str, str] = Field(default_factory=dict, max_length=generate.ANSWERS_MAX)
    approve: Approve = "auto"


class AcceptBody(Body):
    """`breaking`: yes, although callers of today would miss something."""

    breaking: StrictBool = False


@router.post("/apis/{api_id}/edits", status_code=202)
async def create_edit(
    api_id: str,
    body: EditBody,
    response: Response,
    services: Control,
    subject: Signed,
    idempotency_key: Key = None,
) -> TakenView:
    """Say what to change; a job makes the next version beside the one that answers."""
    new = NewEdit(body.prompt, body.answers, body.approve)
    made = await edits.create_edit(services.operations, subject, api_id, new, idempotency_key)
    services.metrics.jobs_taken("edit", int(made.is_new))
    return taken(made, response)


@router.get("/apis/{api_id}/edits")
async def list_edits(
    api_id: str, services: Ops, subject: Signed, limit: PageLimit = 50, offset: PageOffset = 0
) -> Page[Edit]:
    """Changes of this API that were asked for, newest first."""
    found = await edits.list_edits(services, subject, api_id, limit, offset)
    return Page(items=found, limit=limit, offset=offset)


@router.get("/edits/{job_id}")
async def read_edit(job_id: Id, services: Ops, subject: Signed) -> Edit:
    """What would be different: the contract in sentences, the code as a unified diff."""
    return await edits.read_edit(services, subject, job_id)


@router.post("/edits/{job_id}/accept")
async def accept_edit(
    job_id: Id, body: AcceptBody, request: Request, services: Ops, subject: Signed
) -> Edit:
    """Let the new version answer; it was started before this returns."""
    work = edits.accept_edit(services, subject, job_id, breaking=body.breaking)
    return await while_connected(request, work)


@router.post("/edits/{job_id}/reject")
async def reject_edit(job_id: Id, services: Ops, subject: Signed) -> Edit:
    """Leave everything as it is."""
    return await edits.reject_edit(services, subject, job_id)
