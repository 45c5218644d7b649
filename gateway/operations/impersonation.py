"""Looking through somebody's eyes: for minutes, read-only, recorded at both ends."""

import secrets
from dataclasses import dataclass
from uuid import UUID

from gateway.auth.impersonation import IMPERSONATION_PREFIX
from gateway.auth.subject import Admin
from gateway.errors import ForbiddenError, InvalidInputError, NotFoundError
from gateway.operations import access
from gateway.operations.access import Known
from gateway.operations.administration import checked_reason
from gateway.operations.ports import Services
from gateway.store import audit_context, impersonations

DEFAULT_MINUTES = 15
MAX_MINUTES = 60


class SessionRequiredError(ForbiddenError):
    """The admin key has no session with which an impersonation could end."""

    code, title = "session_required", "Sign in as a person to do this"


class ImpersonationUnavailableError(ForbiddenError):
    """The database believes only tokens that a project signs, which nobody else can."""

    code, title = "impersonation_unavailable", "Nobody can be impersonated here"


class ImpersonationNotFoundError(NotFoundError):
    """None is open with this id."""

    code, title = "impersonation_not_found", "Impersonation not found"


@dataclass(frozen=True, slots=True)
class Impersonation:
    """A session as somebody else; the token is shown this once."""

    id: str
    user_id: str
    email: str | None
    expires_at: str
    access_token: str


async def start(
    services: Services, subject: Known, user_id: UUID, reason: str, minutes: int
) -> Impersonation:
    """A token that reads what this person can read."""
    access.require_admin(subject)
    if not services.impersonates:
        raise ImpersonationUnavailableError("People and their sessions are the Supabase project's.")
    if isinstance(subject, Admin):
        raise SessionRequiredError("An impersonation ends with the session of whoever began it.")
    if subject.user_id == user_id:
        raise InvalidInputError("You are this person already")
    audit_context.tell(checked_reason(reason))
    token = IMPERSONATION_PREFIX + secrets.token_urlsafe(32)
    row = await impersonations.start(
        services.database,
        token,
        user_id,
        admin=subject.user_id,
        session=subject.session_id,
        seconds=minutes * 60,
    )
    return Impersonation(row["id"], row["user_id"], row["email"], row["expires_at"], token)


async def end(services: Services, subject: Known, impersonation_id: UUID) -> None:
    """The token opens nothing any more."""
    access.require_admin(subject)
    if not await impersonations.end(services.database, impersonation_id, "it was ended"):
        raise ImpersonationNotFoundError
