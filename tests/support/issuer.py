"""A real issuer on a loopback port, and the real Supabase auth client to talk to it."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg
import httpx
import uvicorn
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import ASGIApp
from supabase_auth import AsyncGoTrueClient

from gateway.auth.issuer.app import build_issuer
from gateway.auth.issuer.attempts import AttemptLimits
from gateway.auth.issuer.configured import audited
from gateway.auth.issuer.endpoints import jwks_route
from gateway.auth.issuer.mail import Carrier, Outbox
from gateway.auth.issuer.passwords import Passwords
from gateway.auth.issuer.policy import PasswordPolicy
from gateway.auth.issuer.redirects import Redirects
from gateway.auth.issuer.tokens import AccessTokens
from gateway.auth.sessions import SessionVerifier
from gateway.store.auth_users import AuthUsers
from gateway.store.database import Database
from gateway.store.sealing import Seal
from tests.support.waiting import until

SITE = "http://sandgate.example"
APP = "https://app.example/page"
ISSUER = "http://sandgate.example/auth/v1"
KID = "test-key"
ADMIN_KEY = "sg_admin_of_the_tests_only"
VERSIONED = {"x-supabase-api-version": "2024-01-01"}


class Clock:
    """The time of day, moved on by hand."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


def new_key_pem() -> str:
    """A fresh private key for access tokens."""
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@dataclass(frozen=True, slots=True)
class RunningIssuer:
    """Everything a test wants to reach of one issuer."""

    url: str
    http: httpx.AsyncClient  # base `/auth/v1`, sends the version header
    clock: Clock
    pem: str
    tokens: AccessTokens
    users: AuthUsers
    passwords: Passwords
    sessions: SessionVerifier
    app: Starlette  # the issuer alone, without where it is mounted

    def client(self) -> AsyncGoTrueClient:
        """Supabase's own client, as an application has it."""
        return AsyncGoTrueClient(
            url=f"{self.url}/auth/v1",
            headers={"apikey": "anything"},
            auto_refresh_token=False,
            http_client=self.http,
        )

    async def sign_up(self, email: str, password: str = "long enough") -> dict[str, Any]:
        """A new person's session document."""
        answer = await self.http.post("/signup", json={"email": email, "password": password})
        assert answer.status_code == 200, answer.text
        document: dict[str, Any] = answer.json()
        return document

    async def refresh(self, token: str) -> httpx.Response:
        """The answer to a refresh token."""
        return await self.http.post(
            "/token", params={"grant_type": "refresh_token"}, json={"refresh_token": token}
        )

    async def sign_in(self, email: str, password: str) -> httpx.Response:
        """The answer to a password."""
        return await self.http.post(
            "/token", params={"grant_type": "password"}, json={"email": email, "password": password}
        )

    async def user(self, access_token: str) -> httpx.Response:
        """The answer to `GET /user`."""
        return await self.http.get("/user", headers={"authorization": f"Bearer {access_token}"})


def bearer(access_token: str) -> dict[str, str]:
    """Headers of a request with an access token."""
    return {"authorization": f"Bearer {access_token}"}


async def ban(dsn: str) -> None:
    """Close every account of a test's database for a day; `dsn` is the owner's address."""
    connection = await asyncpg.connect(dsn.replace("//postgres@", "//supabase_auth_admin@"))
    try:
        await connection.execute("update auth.users set banned_until = now() + interval '1 day'")
    finally:
        await connection.close()


@asynccontextmanager
async def running_issuer(
    socket_dir: str,
    database_name: str,
    database: Database,
    *,
    limits: AttemptLimits | None = None,
    signup: bool = True,
    confirm: bool = False,
    carrier: Carrier | None = None,
    policy: PasswordPolicy | None = None,
    passwords: Passwords | None = None,
) -> AsyncIterator[RunningIssuer]:
    """An issuer over a migrated database, served until the block ends."""
    async with AsyncExitStack() as stack:
        clock, pem = Clock(), new_key_pem()
        tokens = AccessTokens(private_key_pem=pem, kid=KID, issuer=ISSUER)
        users = await AuthUsers.connect(socket_dir, database=database_name)
        stack.push_async_callback(users.close)
        passwords = passwords or Passwords()
        stack.callback(passwords.close)
        sessions = SessionVerifier(tokens=tokens, sessions=users, database=database, clock=clock)
        outbox = Outbox(carrier)
        stack.push_async_callback(outbox.close)
        app = build_issuer(
            tokens=tokens,
            users=users,
            passwords=passwords,
            sessions=sessions,
            refresh_secret=b"r" * 32,
            seal=Seal(b"s" * 32),
            clock=clock,
            limits=limits,
            signup=signup,
            confirm=confirm,
            outbox=outbox,
            admin_key=ADMIN_KEY,
            audit=audited(database),
            policy=policy or PasswordPolicy(),
            redirects=Redirects(SITE, (APP, f"{APP}/below/**")),
        )
        site = Starlette(routes=[jwks_route(tokens), Mount("/auth/v1", app)])
        url = await stack.enter_async_context(served(site))
        http = await stack.enter_async_context(
            httpx.AsyncClient(
                base_url=f"{url}/auth/v1", headers=VERSIONED, timeout=30, trust_env=False
            )
        )
        yield RunningIssuer(url, http, clock, pem, tokens, users, passwords, sessions, app)


@asynccontextmanager
async def served(app: ASGIApp) -> AsyncIterator[str]:
    """Serve an app on a free loopback port; answers its address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        # asyncio does not do it for sockets of `create_server`; each answer would wait for an ACK
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        config = uvicorn.Config(app, lifespan="off", ws="none", log_level="warning")
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            await until(lambda: server.started or serving.done())
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await asyncio.wait_for(serving, 20)
