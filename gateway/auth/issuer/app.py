"""Puts the issuer together as one ASGI app, to be mounted at `/auth/v1`."""

from collections.abc import Callable

from starlette.applications import Starlette
from starlette.exceptions import HTTPException

from gateway.auth.issuer.attempts import AttemptLimits, Attempts
from gateway.auth.issuer.endpoints import Endpoints
from gateway.auth.issuer.passwords import Passwords
from gateway.auth.issuer.rendering import on_expected, on_http, on_unexpected
from gateway.auth.issuer.service import Issuer, SessionCache
from gateway.auth.issuer.tokens import AccessTokens
from gateway.errors import SandgateError
from gateway.store.auth_users import AuthUsers


def build_issuer(
    *,
    tokens: AccessTokens,
    users: AuthUsers,
    passwords: Passwords,
    sessions: SessionCache,
    refresh_secret: bytes,
    clock: Callable[[], float],
    limits: AttemptLimits | None = None,
    signup: bool = True,
) -> Starlette:
    """The issuer over parts that the caller opens and closes."""
    if len(refresh_secret) < 32:
        raise ValueError("the refresh secret must have at least 32 bytes")
    limits = limits or AttemptLimits()
    issuer = Issuer(
        tokens=tokens,
        users=users,
        passwords=passwords,
        sessions=sessions,
        attempts=Attempts(limits.seconds, clock),
        limits=limits,
        refresh_secret=refresh_secret,
        clock=clock,
        signup=signup,
    )
    return Starlette(
        routes=Endpoints(issuer).routes(),
        exception_handlers={
            SandgateError: on_expected,
            HTTPException: on_http,
            Exception: on_unexpected,
        },
    )
