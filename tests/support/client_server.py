"""A small server that speaks the contract which the client commands rely on."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from tests.support import client_jobs, client_tenants

EMAIL, PASSWORD = "ada@example.com", "correct horse battery"


@dataclass
class World:
    """State of the server: people, APIs, keys, tokens, and what it was asked."""

    url: str = ""
    apis: list[dict[str, Any]] = field(default_factory=list)
    keys: list[dict[str, Any]] = field(default_factory=list)
    secrets: dict[str, dict[str, Any]] = field(default_factory=dict)
    tenants: client_tenants.Tenants = field(default_factory=client_tenants.Tenants)
    jobs: client_jobs.Jobs = field(default_factory=client_jobs.Jobs)
    packages: list[str] = field(default_factory=list)
    restart_failure: str = ""
    refresh_tokens: set[str] = field(default_factory=set)
    access_tokens: set[str] = field(default_factory=set)
    requests: list[tuple[str, str]] = field(default_factory=list)
    bodies: list[Any] = field(default_factory=list)
    sent: list[bytes] = field(default_factory=list)  # while `answer` is set
    expires_in: int = 3600
    answer: Response | None = None  # to every request under /api, when set
    counter: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def tokens(self) -> dict[str, Any]:
        n = next(self.counter)
        access, refresh = f"access-{n}", f"refresh-{n}"
        self.access_tokens.add(access)
        self.refresh_tokens.add(refresh)
        return {
            "access_token": access,
            "refresh_token": refresh,
            "expires_in": self.expires_in,
            "user": {"id": "u", "email": EMAIL},
        }

    def make_api(self, name: str) -> dict[str, Any]:
        api_id = str(uuid4())
        api = {
            "id": api_id,
            "slug": f"{name}-x1",
            "name": name,
            "status": "active",
            "version": 1,
            "endpoint_url": f"{self.url}/{api_id}",
            "egress": {"hosts": []},
        }
        self.apis.append(api)
        return api

    def counted(self, path: str) -> int:
        return sum(asked == path for _, asked in self.requests)


def problem(status: int, code: str, detail: str, **members: Any) -> JSONResponse:
    document = {"type": "about:blank", "title": "No", "status": status, "code": code}
    return JSONResponse(
        {**document, "detail": detail, "request_id": "r1", **members},
        status,
        media_type="application/problem+json",
    )


def application(world: World) -> FastAPI:
    app = FastAPI()

    @app.middleware("http")
    async def guard(request: Request, call_next: Any) -> Response:
        world.requests.append((request.method, request.url.path))
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        is_open = request.url.path == "/auth/v1/token"
        if not is_open and token not in world.access_tokens:
            return problem(401, "unauthorized", "Sign in.")
        if request.url.path.startswith("/api") and world.answer is not None:
            world.sent.append(await request.body())
            return world.answer
        answer: Response = await call_next(request)
        return answer

    @app.post("/auth/v1/token")
    async def token(request: Request, grant_type: str) -> Response:
        body = await request.json()
        if grant_type == "password" and (body["email"], body["password"]) == (EMAIL, PASSWORD):
            return JSONResponse(world.tokens())
        if grant_type == "refresh_token" and body["refresh_token"] in world.refresh_tokens:
            world.refresh_tokens.remove(body["refresh_token"])
            return JSONResponse(world.tokens())
        code = "invalid_credentials" if grant_type == "password" else "refresh_token_not_found"
        return JSONResponse({"code": 400, "error_code": code, "msg": "Do not match"}, 400)

    @app.get("/auth/v1/user")
    async def user() -> dict[str, str]:
        return {"id": "u", "email": EMAIL}

    @app.post("/auth/v1/logout")
    async def logout() -> Response:
        world.refresh_tokens.clear()
        world.access_tokens.clear()
        return Response(status_code=204)

    add_apis(app, world)
    add_acts(app, world)
    add_keys(app, world)
    add_secrets(app, world)
    client_tenants.add_routes(app, lambda: world.tenants)
    client_jobs.add_routes(app, lambda: world.jobs, world.make_api)
    return app


def find(world: World, api_id: str) -> dict[str, Any]:
    return next(api for api in world.apis if api["id"] == api_id)


def add_apis(app: FastAPI, world: World) -> None:
    @app.post("/api/apis")
    async def create(request: Request) -> Response:
        body = await request.json()
        world.bodies.append(body)
        if any(api["name"] == body["name"] for api in world.apis):
            return problem(409, "name_taken", "The name is taken.")
        if "import nowhere" in body.get("code", ""):
            failure = {
                "kind": "raised",
                "file": "app.py",
                "line": 1,
                "reason": "No module named 'nowhere'",
                "traceback": 'File "app.py", line 1\n\x1b[31mModuleNotFoundError',
                "log": "starting\n",
            }
            detail = "app.py, line 1: No module named 'nowhere'"
            return problem(422, "api_start_failed", detail, failure=failure)
        made = {**world.make_api(body["name"]), "packages": world.packages}
        return JSONResponse({**made, "api_key": "sg_live_secret"}, 201)

    @app.get("/api/apis")
    async def listing(limit: int = 50, offset: int = 0) -> dict[str, Any]:
        return {"items": world.apis[offset : offset + limit], "limit": limit, "offset": offset}

    @app.get("/api/apis/{api_id}")
    async def read(api_id: str) -> Response:
        known = [api for api in world.apis if api["id"] == api_id]
        return JSONResponse(known[0]) if known else problem(404, "api_not_found", "No such API.")

    @app.patch("/api/apis/{api_id}")
    async def change(api_id: str, request: Request) -> dict[str, Any]:
        api = find(world, api_id)
        api.update(await request.json())
        return api

    @app.delete("/api/apis/{api_id}")
    async def remove(api_id: str) -> Response:
        world.apis.remove(find(world, api_id))
        return Response(status_code=204)


def add_acts(app: FastAPI, world: World) -> None:
    @app.get("/api/apis/{api_id}/export")
    async def export(api_id: str) -> Response:
        find(world, api_id)
        return Response(b"PK zip", media_type="application/zip")

    @app.post("/api/apis/{api_id}/versions")
    async def add_version(api_id: str, request: Request) -> Response:
        world.bodies.append(await request.json())
        api = find(world, api_id)
        api["version"] += 1
        answer = {"id": "v", "api_id": api_id, "version": api["version"], "deployed": True}
        return JSONResponse({**answer, "packages": world.packages}, 201)

    @app.post("/api/apis/{api_id}/rollback")
    async def rollback(api_id: str) -> Response:
        api = find(world, api_id)
        if api["version"] == 1:
            return problem(409, "nothing_to_roll_back", "There is nothing to go back to.")
        api["version"] -= 1
        return JSONResponse({"id": "d", "version": api["version"], "status": "active"})

    @app.get("/api/apis/{api_id}/logs")
    async def logs(api_id: str, tail: int) -> dict[str, Any]:
        lines = [
            {"at": 1_800_000_000.25, "stream": "stdout", "text": "hello"},
            {"at": 1_800_000_001.5, "stream": "stderr", "text": "\x1b]0;gotcha\x07oops"},
        ]
        return {"items": lines[-tail:]}


def add_keys(app: FastAPI, world: World) -> None:
    @app.get("/api/apis/{api_id}/keys")
    async def listing(api_id: str) -> dict[str, Any]:
        return {"items": world.keys}

    @app.post("/api/apis/{api_id}/keys")
    async def create(api_id: str, request: Request) -> Response:
        body = await request.json()
        world.bodies.append(body)
        name = body.get("name", "unnamed")
        key = {"id": str(uuid4()), "name": name, "display": "sg_live_ab…wxyz"}
        world.keys.append(key)
        return JSONResponse({**key, "key": "sg_live_another"}, 201)

    @app.patch("/api/keys/{key_id}")
    async def change(key_id: str, request: Request) -> Response:
        world.bodies.append(await request.json())
        return JSONResponse({"id": key_id})

    @app.post("/api/keys/{key_id}/rotate")
    async def rotate(key_id: str, request: Request) -> Response:
        world.bodies.append(await request.json())
        until = {"replaces": key_id, "replaces_until": "2026-11-23T00:00:00+00:00"}
        return JSONResponse({"id": str(uuid4()), "key": "sg_live_successor", **until}, 201)

    @app.delete("/api/keys/{key_id}")
    async def revoke(key_id: str) -> Response:
        known = [key for key in world.keys if key["id"] == key_id]
        if not known:
            return problem(404, "key_not_found", "There is no such key.")
        world.keys.remove(known[0])
        return Response(status_code=204)


def add_secrets(app: FastAPI, world: World) -> None:
    def changed(name: str) -> dict[str, Any]:
        failure = world.restart_failure
        return {"name": name, "restarted": not failure, "failure": failure}

    @app.put("/api/apis/{api_id}/secrets/{name}")
    async def put(api_id: str, name: str, request: Request) -> Response:
        body = await request.json()
        world.bodies.append(body)
        if body.get("hosts") == ["elsewhere.example.com"]:
            return problem(422, "secret_host_not_allowed", "Not on the list.")
        world.secrets[name] = {
            "name": name,
            "hosts": body.get("hosts"),
            "placeholder": "hosts" in body,
            "updated_at": "2026-11-22T00:00:00+00:00",
        }
        return JSONResponse(changed(name))

    @app.get("/api/apis/{api_id}/secrets")
    async def listing(api_id: str) -> dict[str, Any]:
        return {"items": list(world.secrets.values())}

    @app.delete("/api/apis/{api_id}/secrets/{name}")
    async def delete(api_id: str, name: str) -> Response:
        if name not in world.secrets:
            return problem(404, "secret_not_found", "There is no such secret.")
        del world.secrets[name]
        return JSONResponse(changed(name))

    @app.get("/api/apis/{api_id}/sandboxes")
    async def sandboxes(api_id: str) -> dict[str, Any]:
        living = {"id": "a", "status": "ready", "version": 2, "tier": "runc", "instance": 0}
        ended = {"id": "b", "status": "ended", "version": 1, "tier": "runc", "instance": 0}
        return {
            "items": [
                {**living, "age_seconds": 12.4, "memory_bytes": 40 * 2**20, "end": None},
                {
                    **ended,
                    "age_seconds": 3,
                    "memory_bytes": None,
                    "end": "memory",
                    "reason": "\x1b[31mover 256 MB",
                },
            ]
            if find(world, api_id)["status"] == "active"
            else []
        }
