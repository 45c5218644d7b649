"""Routes of invitations to tenants."""

from dataclasses import asdict
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, Field, StrictInt, StringConstraints

from gateway.control.models import Body, Page, PageLimit, PageOffset
from gateway.control.services import Ops
from gateway.control.subject import Signed
from gateway.operations import invitations
from gateway.operations.invitations import (
    MAX_DAYS,
    Invitation,
    InvitationStatus,
    InvitedRole,
)
from gateway.operations.values import Tenant

router = APIRouter(prefix="/api/tenants", tags=["tenants"])

ShortText = Annotated[str, StringConstraints(max_length=1000)]


class InviteBody(Body):
    """Whom to invite, as what, and for how long."""

    email: ShortText
    role: InvitedRole = InvitedRole.DEVELOPER
    days: StrictInt = Field(7, ge=1, le=MAX_DAYS)


class AcceptBody(Body):
    """What the invitation said."""

    token: ShortText


class SentInvitationView(BaseModel):
    """A new invitation; `token` is shown this once. Not `mailed`: hand it on yourself."""

    id: str
    tenant_id: str
    email: str
    role: InvitedRole
    status: InvitationStatus
    invited_by: str | None
    created_at: str
    expires_at: str
    token: str
    mailed: bool


@router.post("/invitations/accept")
async def accept_invitation(body: AcceptBody, services: Ops, subject: Signed) -> Tenant:
    """Become a member, as the person of the address that the invitation was sent to."""
    return await invitations.accept_invitation(services, subject, body.token)


@router.post("/{tenant_id}/invitations", status_code=201)
async def invite(
    tenant_id: UUID, body: InviteBody, services: Ops, subject: Signed
) -> SentInvitationView:
    """Invite somebody by e-mail; inviting the same address again ends the invitation before."""
    sent = await invitations.invite(services, subject, tenant_id, body.email, body.role, body.days)
    return SentInvitationView.model_validate(
        {**asdict(sent.invitation), "token": sent.token, "mailed": sent.mailed}
    )


@router.get("/{tenant_id}/invitations")
async def list_invitations(
    tenant_id: UUID, services: Ops, subject: Signed, limit: PageLimit = 50, offset: PageOffset = 0
) -> Page[Invitation]:
    """Invitations of the last 90 days, newest first, without their tokens."""
    found = await invitations.list_invitations(services, subject, tenant_id, limit, offset)
    return Page(items=found, limit=limit, offset=offset)


@router.delete("/{tenant_id}/invitations/{invitation_id}", status_code=204)
async def revoke_invitation(
    tenant_id: UUID, invitation_id: UUID, services: Ops, subject: Signed
) -> None:
    """Take an invitation back; nobody can accept it any more."""
    await invitations.revoke_invitation(services, subject, tenant_id, invitation_id)
