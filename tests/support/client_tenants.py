"""Tenants, members and invitations of the small server that client commands talk to."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

WINDOW = {"window": "hour", "limit": 100, "used": 3, "remaining": 97, "reset_seconds": 5}
DAY = {"day": "2026-11-22", "calls_made": 3, "calls_received": 12, "errors": 1}


@dataclass
class Tenants:
    """State: tenants and members as rows, and the bodies that were sent."""

    tenants: list[dict[str, Any]] = field(default_factory=list)
    members: list[dict[str, Any]] = field(default_factory=list)
    invitations: list[dict[str, Any]] = field(default_factory=list)
    mails: bool = False
    bodies: list[Any] = field(default_factory=list)

    def make(self, name: str, **more: Any) -> dict[str, Any]:
        made = {"id": str(uuid4()), "name": name, "kind": "team", "plan": "free"}
        made |= {"status": "active", "role": "owner", "owner_id": "u", "created_at": "now", **more}
        self.tenants.append(made)
        return made

    def join(self, email: str, role: str) -> dict[str, Any]:
        made = {"user_id": str(uuid4()), "email": email, "role": role, "created_at": "now"}
        self.members.append(made)
        return made


def add_routes(app: FastAPI, state: Callable[[], Tenants]) -> None:
    """The routes; `state` is asked anew for each request."""
    add_tenants(app, state)
    add_members(app, state)
    add_invitations(app, state)


def add_tenants(app: FastAPI, state: Callable[[], Tenants]) -> None:
    """One route a command."""

    @app.get("/api/tenants")
    async def listing() -> dict[str, Any]:
        return {"items": state().tenants, "limit": 1, "offset": 0}

    @app.post("/api/tenants")
    async def create(request: Request) -> Response:
        return JSONResponse(state().make((await request.json())["name"]), 201)

    @app.get("/api/tenants/{tenant_id}")
    async def read(tenant_id: str) -> dict[str, Any]:
        return next(tenant for tenant in state().tenants if tenant["id"] == tenant_id)

    @app.patch("/api/tenants/{tenant_id}")
    async def rename(tenant_id: str, request: Request) -> dict[str, Any]:
        tenant = await read(tenant_id)
        tenant.update(await request.json())
        return tenant

    @app.delete("/api/tenants/{tenant_id}")
    async def remove(tenant_id: str) -> Response:
        state().tenants.remove(await read(tenant_id))
        return Response(status_code=204)

    @app.post("/api/tenants/{tenant_id}/transfer")
    async def transfer(tenant_id: str, request: Request) -> dict[str, Any]:
        state().bodies.append(await request.json())
        return await read(tenant_id)

    @app.post("/api/tenants/{tenant_id}/leave")
    async def leave(tenant_id: str) -> Response:
        return await remove(tenant_id)

    @app.get("/api/tenants/{tenant_id}/usage")
    async def usage(tenant_id: str, days: int) -> dict[str, Any]:
        return {"tenant_id": tenant_id, "windows": [WINDOW], "days": [DAY] * min(days, 2)}


def add_members(app: FastAPI, state: Callable[[], Tenants]) -> None:
    """One route a command."""

    @app.get("/api/tenants/{tenant_id}/members")
    async def listing(limit: int = 50, offset: int = 0) -> dict[str, Any]:
        return {"items": state().members[offset : offset + limit]}

    @app.post("/api/tenants/{tenant_id}/members")
    async def add(request: Request) -> Response:
        body = await request.json()
        state().bodies.append(body)
        return JSONResponse(state().join("somebody@example.com", body["role"]), 201)

    @app.patch("/api/tenants/{tenant_id}/members/{user_id}")
    async def change(user_id: str, request: Request) -> dict[str, Any]:
        member = next(each for each in state().members if each["user_id"] == user_id)
        member.update(await request.json())
        return member

    @app.delete("/api/tenants/{tenant_id}/members/{user_id}")
    async def remove(user_id: str) -> Response:
        state().members[:] = [each for each in state().members if each["user_id"] != user_id]
        return Response(status_code=204)


def add_invitations(app: FastAPI, state: Callable[[], Tenants]) -> None:
    """One route a command."""

    @app.post("/api/tenants/invitations/accept")
    async def accept(request: Request) -> dict[str, Any]:
        state().bodies.append(await request.json())
        return {**state().tenants[-1], "role": "viewer"}

    @app.post("/api/tenants/{tenant_id}/invitations")
    async def invite(request: Request) -> Response:
        body = await request.json()
        state().bodies.append(body)
        made = {"id": str(uuid4()), "status": "open", "expires_at": "soon", **body}
        state().invitations.append(made)
        return JSONResponse({**made, "token": "sgi_secret", "mailed": state().mails}, 201)

    @app.get("/api/tenants/{tenant_id}/invitations")
    async def listing() -> dict[str, Any]:
        return {"items": state().invitations}

    @app.delete("/api/tenants/{tenant_id}/invitations/{invitation_id}")
    async def revoke(invitation_id: str) -> Response:
        state().invitations[:] = [i for i in state().invitations if i["id"] != invitation_id]
        return Response(status_code=204)
