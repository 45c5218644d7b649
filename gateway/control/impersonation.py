"""Routes of impersonation, for administrators who are signed in."""

from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, Field, StrictInt

from gateway.control.administration_models import Reason
from gateway.control.models import Body
from gateway.control.services import Ops
from gateway.control.subject import Administrator
from gateway.operations import impersonation
from gateway.operations.impersonation import DEFAULT_MINUTES, MAX_MINUTES

router = APIRouter(prefix="/api/admin", tags=["admin"])


class ImpersonateBody(Body):
    """Why, and for how long at most."""

    reason: Reason
    minutes: StrictInt = Field(DEFAULT_MINUTES, ge=1, le=MAX_MINUTES)


class ImpersonationView(BaseModel):
    """A read-only session as somebody else; `access_token` is shown this once."""

    id: str
    user_id: str
    email: str | None
    expires_at: str
    access_token: str


@router.post("/users/{user_id}/impersonate", status_code=201)
async def impersonate(
    user_id: UUID, body: ImpersonateBody, services: Ops, subject: Administrator
) -> ImpersonationView:
    """See what this person sees, change nothing; it ends with your session at the latest."""
    made = await impersonation.start(services, subject, user_id, body.reason, body.minutes)
    return ImpersonationView.model_validate(made, from_attributes=True)


@router.delete("/impersonations/{impersonation_id}", status_code=204)
async def end_impersonation(impersonation_id: UUID, services: Ops, subject: Administrator) -> None:
    """End it before its time."""
    await impersonation.end(services, subject, impersonation_id)
