"""Invitations: who may become a member of a tenant, and in which role."""

import hashlib
import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from uuid import UUID, uuid4

from gateway.auth.issuer.errors import ValidationError
from gateway.auth.issuer.requests import normal_email
from gateway.auth.permissions import Operation
from gateway.auth.subject import User
from gateway.errors import ForbiddenError, InvalidInputError, NotFoundError
from gateway.operations import access
from gateway.operations.access import Known
from gateway.operations.ports import Services
from gateway.operations.values import Tenant, optional, tenant_of
from gateway.store import invitations, tenants
from gateway.store.database import Row

MOST_A_DAY = 100  # of one tenant: each is a mail to somebody who did not ask for it
MAX_DAYS = 30
PREFIX = "sgi_"
_TOKEN = re.compile(r"sgi_[A-Za-z0-9_-]{43}")


class InvitationNotFoundError(NotFoundError):
    """No such invitation."""

    code, title = "invitation_not_found", "Invitation not found"


class InvalidEmailError(InvalidInputError):
    """Not an e-mail address."""

    code, title = "invalid_email", "Invalid e-mail address"


class InvitedRole(StrEnum):
    """Roles that can be offered; owners are made of members."""

    ADMIN = "admin"
    DEVELOPER = "developer"
    VIEWER = "viewer"


class InvitationStatus(StrEnum):
    """Where an invitation stands."""

    OPEN = "open"  # can be accepted
    ACCEPTED = "accepted"
    REVOKED = "revoked"  # taken back, or another one to the same address took its place
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Invitation:
    """An invitation without its token."""

    id: str
    tenant_id: str
    email: str
    role: InvitedRole
    status: InvitationStatus
    invited_by: str | None
    created_at: str
    expires_at: str


@dataclass(frozen=True, slots=True)
class SentInvitation:
    """A new invitation with its token, which is shown this once."""

    invitation: Invitation
    token: str
    mailed: bool


async def invite(
    services: Services, subject: Known, tenant_id: UUID, email: str, role: InvitedRole, days: int
) -> SentInvitation:
    """Invite an address; an open invitation to it ends. The mail may fail, the token is here."""
    address = _checked_email(email)
    token = PREFIX + secrets.token_urlsafe(32)
    values = {
        "id": str(uuid4()),
        "tenant_id": str(tenant_id),
        "email": address,
        "role": role,
        "token_hash": _hash(token),
        "days": days,
        "most": MOST_A_DAY,
        "actor": optional(access.actor_of(subject)),
    }
    row = await invitations.invite(services.database, values)
    tenant = await tenants.find(services.database, tenant_id)
    name = "" if tenant is None else str(tenant["name"])
    mailed = await services.mailer.send(
        address, f"Invitation to {name} on Sandgate", _text(subject, name, role, token, days)
    )
    return SentInvitation(_invitation_of(row, services.clock()), token, mailed)


async def list_invitations(
    services: Services, subject: Known, tenant_id: UUID, limit: int, offset: int
) -> list[Invitation]:
    """Those of a tenant, newest first; for who may invite."""
    await access.require_operation(services, subject, tenant_id, Operation.MANAGE_MEMBERS)
    identity = access.identity_of(subject)
    rows = await invitations.page(services.database, identity, tenant_id, limit, offset)
    return [_invitation_of(row, services.clock()) for row in rows]


async def revoke_invitation(
    services: Services, subject: Known, tenant_id: UUID, invitation_id: UUID
) -> None:
    """Take it back; doing it twice is no mistake."""
    actor = access.actor_of(subject)
    await invitations.revoke(services.database, tenant_id, invitation_id, actor)


async def accept_invitation(services: Services, subject: Known, token: str) -> Tenant:
    """Become a member, as the person of the address that it was sent to."""
    if not isinstance(subject, User):
        raise ForbiddenError("The admin key is nobody's; sign in as the person who was invited")
    if not _TOKEN.fullmatch(token):
        raise InvitationNotFoundError
    row = await invitations.accept(services.database, _hash(token), subject.user_id)
    return tenant_of(row, row["role"])


def _checked_email(email: str) -> str:
    """The address as accounts have it, so that the two can be compared."""
    try:
        return normal_email(email)
    except ValidationError as error:
        raise InvalidEmailError("This is not an e-mail address") from error


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _invitation_of(row: Row, now: float) -> Invitation:
    return Invitation(
        id=str(row["id"]),
        tenant_id=str(row["tenant_id"]),
        email=row["email"],
        role=InvitedRole(row["role"]),
        status=_status(row, now),
        invited_by=optional(row["invited_by"]),
        created_at=row["created_at"],
        expires_at=row["expires_at"],
    )


def _status(row: Row, now: float) -> InvitationStatus:
    if row["accepted_at"] is not None:
        return InvitationStatus.ACCEPTED
    if row["revoked_at"] is not None:
        return InvitationStatus.REVOKED
    is_over = datetime.fromisoformat(row["expires_at"]) <= datetime.fromtimestamp(now, UTC)
    return InvitationStatus.EXPIRED if is_over else InvitationStatus.OPEN


def _text(subject: Known, name: str, role: InvitedRole, token: str, days: int) -> str:
    by = subject.email if isinstance(subject, User) else "An administrator"
    return (
        f"{by} invites you to the tenant {name} on Sandgate as {role}.\n\n"
        f"Sign in with this address, then accept within {days} days:\n\n"
        f"    sandgate invite accept {token}\n\n"
        "If you do not know what this is about, do nothing: it ends by itself.\n"
    )
