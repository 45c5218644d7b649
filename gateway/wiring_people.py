"""What the gateway needs for people: sessions, an issuer, their files. Part of `wiring`."""

import time
from contextlib import AsyncExitStack
from dataclasses import dataclass

from starlette.routing import Route
from starlette.types import ASGIApp

from gateway.auth.issuer.app import build_issuer
from gateway.auth.issuer.configured import audited, carrier_from, policy_from, redirects_from
from gateway.auth.issuer.endpoints import jwks_route
from gateway.auth.issuer.mail import Outbox
from gateway.auth.issuer.passwords import Passwords
from gateway.auth.issuer.refresh import secret_from
from gateway.auth.issuer.tokens import AccessTokens
from gateway.auth.sessions import SessionVerifier
from gateway.control.services import Sessions
from gateway.operations.file_urls import url_key
from gateway.operations.uploads import UploadParts
from gateway.operations.virus_scan import Clamd
from gateway.secrets import Keyring
from gateway.settings import Settings
from gateway.store.auth_users import AuthUsers
from gateway.store.database import Database
from gateway.store.open_blobs import open_blobs
from gateway.store.project import Project
from gateway.store.sealing import Seals

PROJECT_SECONDS = 8.0  # for one question to a project's Auth


@dataclass(frozen=True, slots=True)
class People:
    """The issuer, its public keys, and who checks its sessions."""

    sessions: Sessions
    issuer: ASGIApp
    jwks: Route


def opened_outbox(stack: AsyncExitStack, settings: Settings) -> Outbox:
    """Where letters go out: the issuer's and invitations."""
    outbox = Outbox(carrier_from(settings))
    stack.push_async_callback(outbox.close)
    return outbox


def own_people(
    stack: AsyncExitStack,
    settings: Settings,
    keyring: Keyring,
    database: Database,
    users: AuthUsers,
    outbox: Outbox,
    public_url: str,
) -> People:
    """People of this installation, with an issuer of our own."""
    secrets = keyring.current
    tokens = AccessTokens(
        private_key_pem=secrets.jwt_private_key_pem,
        kid=secrets.jwt_kid,
        issuer=f"{public_url}/auth/v1",
        keys=keyring.token_keys,
    )
    passwords = Passwords()
    stack.callback(passwords.close)
    sessions = SessionVerifier(tokens=tokens, sessions=users, database=database, clock=time.time)
    issuer = build_issuer(
        tokens=tokens,
        users=users,
        passwords=passwords,
        sessions=sessions,
        refresh_secret=secrets.refresh_secret or secret_from(secrets.jwt_private_key_pem),
        seal=Seals(keyring.secrets_keys),
        outbox=outbox,
        redirects=redirects_from(settings, public_url),
        admin_key=keyring.admin_keys,
        audit=audited(database),
        policy=policy_from(settings, stack),
        signup=settings.auth_signup,
        confirm=settings.auth_confirm_email,
        clock=time.time,
    )
    return People(sessions, issuer, jwks_route(tokens))


async def project_people(stack: AsyncExitStack, project: Project, database: Database) -> People:
    """People of a Supabase project: no issuer of ours. Only then it loads a client for HTTP."""
    import httpx

    from gateway.auth.elsewhere import elsewhere, nothing_here
    from gateway.auth.project_sessions import ProjectSessions

    http = await stack.enter_async_context(httpx.AsyncClient(timeout=PROJECT_SECONDS))
    sessions = ProjectSessions(
        http=http,
        auth_url=project.auth_url,
        issuer=project.issuer,
        keys=project.keys,
        database=database,
        clock=time.time,
    )
    away = elsewhere(http, project.auth_url, project.keys.anon)
    return People(sessions, away, Route("/.well-known/jwks.json", nothing_here))


async def uploads_in(stack: AsyncExitStack, settings: Settings, keyring: Keyring) -> UploadParts:
    """Where files lie and who looks at them."""
    return UploadParts(
        blobs=await stack.enter_async_context(open_blobs(settings)),
        url_keys=lambda: [url_key(value) for value in keyring.hash_secrets().values],
        max_bytes=settings.upload_bytes,
        tenant_bytes=settings.upload_tenant_bytes,
        scanner=Clamd(settings.clamd_socket) if settings.clamd_socket else None,
    )
