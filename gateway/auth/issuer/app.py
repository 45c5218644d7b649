"""Puts the issuer together as one ASGI app, to be mounted at `/auth/v1`."""

from collections.abc import Callable

from starlette.applications import Starlette
from starlette.exceptions import HTTPException

from gateway.auth.admin_key import AdminKey
from gateway.auth.issuer.attempts import AttemptLimits, Attempts
from gateway.auth.issuer.confirming import Confirming
from gateway.auth.issuer.endpoints import Endpoints
from gateway.auth.issuer.factor_endpoints import FactorEndpoints
from gateway.auth.issuer.factors import Factors
from gateway.auth.issuer.granting import Granting
from gateway.auth.issuer.link_endpoints import LinkEndpoints
from gateway.auth.issuer.links import Links
from gateway.auth.issuer.mail import Outbox
from gateway.auth.issuer.passwords import Passwords
from gateway.auth.issuer.people import Audit, People
from gateway.auth.issuer.people_endpoints import PeopleEndpoints
from gateway.auth.issuer.policy import PasswordPolicy
from gateway.auth.issuer.redirects import Redirects
from gateway.auth.issuer.rendering import on_expected, on_http, on_unexpected
from gateway.auth.issuer.service import Issuer, SessionCache
from gateway.auth.issuer.tokens import AccessTokens
from gateway.errors import SandgateError
from gateway.store.auth_users import AuthUsers
from gateway.store.sealing import Seal, Seals


def build_issuer(
    *,
    tokens: AccessTokens,
    users: AuthUsers,
    passwords: Passwords,
    sessions: SessionCache,
    refresh_secret: bytes,
    seal: Seal | Seals,
    clock: Callable[[], float],
    outbox: Outbox,
    redirects: Redirects,
    admin_key: AdminKey,
    audit: Audit,
    policy: PasswordPolicy,
    limits: AttemptLimits | None = None,
    signup: bool = True,
    confirm: bool = False,
) -> Starlette:
    """The issuer over parts that the caller opens and closes."""
    if len(refresh_secret) < 32:
        raise ValueError("the refresh secret must have at least 32 bytes")
    limits = limits or AttemptLimits()
    granting = Granting(tokens, clock)
    attempts = Attempts(limits.seconds, clock)
    hourly = Attempts(limits.code_seconds, clock)
    links = Links(
        users=users,
        granting=granting,
        outbox=outbox,
        redirects=redirects,
        secret=refresh_secret,
        attempts=attempts,
        mails=Attempts(limits.mail_seconds, clock),
        hourly=hourly,
        limits=limits,
    )
    confirming = Confirming(users, granting, passwords, links, refresh_secret)
    issuer = Issuer(
        tokens=tokens,
        granting=granting,
        users=users,
        passwords=passwords,
        policy=policy,
        sessions=sessions,
        attempts=attempts,
        limits=limits,
        refresh_secret=refresh_secret,
        clock=clock,
        signup=signup,
        links=links,
        confirming=confirming if confirm else None,
    )
    factors = Factors(
        users=users,
        granting=granting,
        sessions=sessions,
        seal=seal,
        attempts=hourly,
        limits=limits,
    )
    endpoints = Endpoints(issuer)
    return Starlette(
        routes=[
            *endpoints.routes(),
            *FactorEndpoints(factors, endpoints.session).routes(),
            *LinkEndpoints(links, signup=signup).routes(),
            *PeopleEndpoints(
                People(users, passwords, policy, granting, links, sessions, audit),
                admin_key=admin_key,
                attempts=attempts,
                wrong_keys=limits.address,
            ).routes(),
        ],
        exception_handlers={
            SandgateError: on_expected,
            HTTPException: on_http,
            Exception: on_unexpected,
        },
    )
