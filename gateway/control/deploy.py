"""Routes that deploy what was made, and show one deployment."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Request, Response
from pydantic import Field, StrictInt, StringConstraints

from gateway.control.disconnect import while_connected
from gateway.control.event_stream import NOTHING_MORE, EventStream, LastEventId, answer
from gateway.control.models import Body
from gateway.control.services import Ops
from gateway.control.subject import Signed
from gateway.operations import deploying
from gateway.operations.deploying import NewDeployment
from gateway.operations.values import Deployment

router = APIRouter(prefix="/api", tags=["generate"])
Id = Annotated[UUID, Path()]


class NewDeploymentBody(Body):
    """What shall answer: an API (`version` or its newest), or what a job made."""

    api_id: Annotated[str, StringConstraints(max_length=100)] | None = None
    job_id: UUID | None = None
    version: Annotated[StrictInt, Field(ge=1, le=2**31 - 1)] | None = None
    weight: Annotated[StrictInt, Field(ge=1, le=100)] = 100


@router.post("/deploy", status_code=201)
async def deploy(
    body: NewDeploymentBody, request: Request, response: Response, services: Ops, subject: Signed
) -> Deployment:
    """Let it answer; it was started before this returns."""
    new = NewDeployment(body.api_id, body.job_id, body.version, body.weight)
    made = await while_connected(request, deploying.deploy(services, subject, new))
    response.headers["Location"] = f"/api/deployments/{made.id}"
    return made


@router.get("/deployments/{deployment_id}")
async def read_deployment(deployment_id: Id, services: Ops, subject: Signed) -> Deployment:
    """Which version of which API answers which share of the calls, and whether it still does."""
    return await deploying.read_deployment(services, subject, deployment_id)


@router.get(
    "/deployments/{deployment_id}/events", response_class=EventStream, responses=NOTHING_MORE
)
async def follow_deployment(
    deployment_id: Id, services: Ops, subject: Signed, last_event_id: LastEventId = None
) -> Response:
    """Server-sent events of the job that made it; otherwise one, that it was deployed."""
    after = last_event_id or 0
    return answer(await deploying.follow(services, subject, deployment_id, after))
