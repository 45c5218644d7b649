"""From a request to its subject: a person's session, or the installation's admin key."""

from typing import Annotated

from fastapi import Depends, Request

from gateway.auth.admin_key import is_admin_key
from gateway.auth.keys import PREFIX
from gateway.auth.permissions import require_admin
from gateway.auth.sessions import bearer
from gateway.auth.subject import Admin, Anonymous, Subject, User
from gateway.control.auditing import READS, mark_impersonating
from gateway.control.services import Control
from gateway.errors import ForbiddenError, UnauthorizedError
from gateway.logs import note
from gateway.operations.access import Known


class ConsumerKeyError(UnauthorizedError):
    """A key of an API was presented where a session is needed."""

    code, title = "consumer_key", "A key opens APIs, not the control plane"


class InvalidAdminKeyError(UnauthorizedError):
    """X-API-Key carried something that is not the admin key."""

    code, title = "invalid_admin_key", "Not the admin key"


class ImpersonationReadOnlyError(ForbiddenError):
    """Somebody else's eyes are no hands."""

    code, title = "impersonation_read_only", "An impersonation changes nothing"


async def subject_of(request: Request, services: Control) -> Subject:
    """Anonymous when nothing was presented; anything presented must be valid."""
    key = _only(request, "x-api-key")
    if key is not None:
        if not is_admin_key(services.admin_key, key):
            raise InvalidAdminKeyError
        return Admin()
    authorization = _only(request, "authorization")
    if authorization is None:
        return Anonymous()
    token = bearer(authorization)
    if token is None:
        raise UnauthorizedError("Use Authorization: Bearer <token>")
    if is_admin_key(services.admin_key, token):
        return Admin()
    if token.startswith(PREFIX):
        raise ConsumerKeyError
    person = await services.sessions.verify(token)
    note(user_id=person.user_id)
    return _marked(request, person)


async def known(subject: Annotated[Subject, Depends(subject_of)]) -> Known:
    """Somebody, not Anonymous."""
    if isinstance(subject, Anonymous):
        raise UnauthorizedError
    return subject


async def administrator(subject: Annotated[Known, Depends(known)]) -> Known:
    """An administrator."""
    require_admin(subject)
    return subject


Signed = Annotated[Known, Depends(known)]
Administrator = Annotated[Known, Depends(administrator)]


def _marked(request: Request, user: User) -> User:
    """Whoever looks through somebody's eyes is told so by every answer, and changes nothing."""
    if user.impersonated_by is not None:
        mark_impersonating(request.scope, str(user.user_id))
        if request.method not in READS:
            raise ImpersonationReadOnlyError("End the impersonation to change something.")
    return user


def _only(request: Request, name: str) -> str | None:
    """The header's value; two of them are a trick, not a request."""
    values = request.headers.getlist(name)
    if len(values) > 1:
        raise UnauthorizedError(f"More than one {name} header")
    return values[0] if values else None
