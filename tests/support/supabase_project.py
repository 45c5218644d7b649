"""A Supabase project on loopback: real PostgREST, Auth by our issuer, one address before both.

As far as it is looked at from outside: the proxy asks for a key that it knows, and turns the
opaque ones into tokens, as hosted projects do.
"""

import asyncio
import base64
import json
import socket
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp

from gateway.auth.issuer.app import build_issuer
from gateway.auth.issuer.configured import audited
from gateway.auth.issuer.mail import Outbox
from gateway.auth.issuer.passwords import Passwords
from gateway.auth.issuer.policy import PasswordPolicy
from gateway.auth.issuer.redirects import Redirects
from gateway.auth.issuer.tokens import AccessTokens
from gateway.auth.sessions import SessionVerifier
from gateway.store.auth_users import AuthUsers, EmailTakenError
from gateway.store.postgres import PostgresDatabase
from gateway.store.sealing import Seal
from tests.support.issuer import KID, new_key_pem
from tests.support.postgrest import SECRET, anon_key, postgrest, service_key
from tests.support.waiting import until

SECRET_KEY = "sb_secret_of-the-tests-only"
PUBLIC_KEY = "sb_publishable_of-the-tests-only"
_DROPPED = ("host", "content-length", "transfer-encoding", "connection")


@dataclass(frozen=True, slots=True)
class SupabaseProject:
    """What an operator copies from its pages, and what reached it."""

    url: str
    statements: list[str] = field(default_factory=list)

    def environment(self, **more: str) -> dict[str, str]:
        """As the settings of an installation."""
        return {"SUPABASE_URL": self.url, "SUPABASE_SECRET_KEY": SECRET_KEY, **more}


@asynccontextmanager
async def supabase_project(socket_dir: Path, database_name: str) -> AsyncIterator[SupabaseProject]:
    """Over a migrated database, until the block ends."""
    async with AsyncExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        # asyncio does not do it for sockets of `create_server`; each answer would wait for an ACK
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        project = SupabaseProject(f"http://127.0.0.1:{listener.getsockname()[1]}")
        tokens = AccessTokens(
            private_key_pem=new_key_pem(), kid=KID, issuer=f"{project.url}/auth/v1"
        )
        shared = base64.urlsafe_b64encode(SECRET.encode()).decode().rstrip("=")
        keys = [*tokens.jwks()["keys"], {"kty": "oct", "k": shared, "alg": "HS256"}]
        rest = stack.enter_context(
            postgrest(socket_dir, database_name, secret=json.dumps({"keys": keys}))
        )
        http = await stack.enter_async_context(
            httpx.AsyncClient(base_url=rest.url, timeout=30, trust_env=False)
        )
        auth = await _auth(stack, tokens, socket_dir, database_name)
        app = Starlette(
            routes=[
                Route(
                    "/rest/v1/{path:path}",
                    _data(project, http),
                    methods=["GET", "POST", "PATCH", "DELETE"],
                ),
                Mount("/auth/v1", _guarded(auth)),
            ]
        )
        await stack.enter_async_context(_serving(app, listener))
        yield project


def _key(request: Request) -> str | None:
    """The token that a key stands for; None for a key that is not the project's."""
    key = request.headers.get("apikey", "")
    opaque = {SECRET_KEY: service_key(), PUBLIC_KEY: anon_key()}
    return opaque.get(key)


def _data(project: SupabaseProject, http: httpx.AsyncClient) -> Any:
    async def handle(request: Request) -> Response:
        token = _key(request)
        if token is None:
            return JSONResponse({"message": "Invalid API key"}, 401)
        headers = {n: v for n, v in request.headers.items() if n not in _DROPPED}
        headers.setdefault("authorization", f"Bearer {token}")
        project.statements.append(f"{request.method} {request.path_params['path']}")
        answer = await http.request(
            request.method,
            f"/{request.path_params['path']}?{request.url.query}",
            headers=headers,
            content=await request.body(),
        )
        kept = {n: v for n, v in answer.headers.items() if n.startswith("content-type")}
        return Response(answer.content, answer.status_code, kept)

    return handle


def _guarded(app: ASGIApp) -> ASGIApp:
    async def handle(scope: Any, receive: Any, send: Any) -> None:
        request = Request(scope)
        if _key(request) is None and not scope["path"].endswith("jwks.json"):
            await JSONResponse({"message": "Invalid API key"}, 401)(scope, receive, send)
        else:
            await app(scope, receive, send)

    return handle


async def _auth(
    stack: AsyncExitStack, tokens: AccessTokens, socket_dir: Path, name: str
) -> Starlette:
    database = await stack.enter_async_context(
        await PostgresDatabase.connect(socket_dir, database=name)
    )
    users = await AuthUsers.connect(socket_dir, database=name)
    stack.push_async_callback(users.close)
    passwords = Passwords()
    stack.callback(passwords.close)
    issuer = build_issuer(
        tokens=tokens,
        users=users,
        passwords=passwords,
        sessions=SessionVerifier(tokens=tokens, sessions=users, database=database, clock=time.time),
        refresh_secret=b"r" * 32,
        seal=Seal(b"s" * 32),
        outbox=Outbox(None),
        redirects=Redirects("http://project.example", ()),
        admin_key=SECRET_KEY,
        audit=audited(database),
        policy=PasswordPolicy(),
        clock=time.time,
    )

    async def add(request: Request) -> Response:
        if request.headers.get("apikey") != SECRET_KEY:
            return JSONResponse({"error_code": "not_admin"}, 403)
        body, user_id = await request.json(), uuid4()
        hashed = await passwords.hash(body["password"])
        try:
            async with users.transaction() as transaction:
                await transaction.add(user_id, body["email"], hashed, {})
        except EmailTakenError:
            return JSONResponse({"code": 422, "error_code": "email_exists"}, 422)
        return JSONResponse({"id": str(user_id), "email": body["email"]})

    async def change(request: Request) -> Response:
        if request.headers.get("apikey") != SECRET_KEY:
            return JSONResponse({"error_code": "not_admin"}, 403)
        hashed = await passwords.hash((await request.json())["password"])
        async with users.transaction() as transaction:
            await transaction.set_password(UUID(request.path_params["id"]), hashed)
        return JSONResponse({"id": request.path_params["id"]})

    return Starlette(
        routes=[
            Route("/admin/users", add, methods=["POST"]),
            Route("/admin/users/{id}", change, methods=["PUT"]),
            Mount("/", issuer),
        ]
    )


@asynccontextmanager
async def _serving(app: ASGIApp, listener: socket.socket) -> AsyncIterator[None]:
    config = uvicorn.Config(app, lifespan="off", ws="none", log_level="warning")
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        await until(lambda: server.started or serving.done())
        yield
    finally:
        server.should_exit = True
        await asyncio.wait_for(serving, 20)
