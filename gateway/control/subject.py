"""From a request to its subject: a person's session, or the installation's admin key."""

import hmac
from typing import Annotated

from fastapi import Depends, Request

from gateway.auth.keys import PREFIX
from gateway.auth.permissions import require_admin
from gateway.auth.sessions import bearer
from gateway.auth.subject import Admin, Anonymous, Subject
from gateway.control.services import Control
from gateway.errors import UnauthorizedError
from gateway.operations.access import Known


class ConsumerKeyError(UnauthorizedError):
    """A key of an API was presented where a session is needed."""

    code, title = "consumer_key", "A key opens APIs, not the control plane"


class InvalidAdminKeyError(UnauthorizedError):
    """X-API-Key carried something that is not the admin key."""

    code, title = "invalid_admin_key", "Not the admin key"


async def subject_of(request: Request, services: Control) -> Subject:
    """Anonymous when nothing was presented; anything presented must be valid."""
    key = _only(request, "x-api-key")
    if key is not None:
        if not _is_admin_key(services, key):
            raise InvalidAdminKeyError
        return Admin()
    authorization = _only(request, "authorization")
    if authorization is None:
        return Anonymous()
    token = bearer(authorization)
    if token is None:
        raise UnauthorizedError("Use Authorization: Bearer <token>")
    if _is_admin_key(services, token):
        return Admin()
    if token.startswith(PREFIX):
        raise ConsumerKeyError
    return await services.sessions.verify(token)


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


def _only(request: Request, name: str) -> str | None:
    """The header's value; two of them are a trick, not a request."""
    values = request.headers.getlist(name)
    if len(values) > 1:
        raise UnauthorizedError(f"More than one {name} header")
    return values[0] if values else None


def _is_admin_key(services: Control, presented: str) -> bool:
    known = services.admin_key
    given = presented.encode("utf-8", "replace")
    keys = (known,) if isinstance(known, str) else known()  # two while it is rotated
    return any(hmac.compare_digest(given, key.encode("utf-8", "replace")) for key in keys)
