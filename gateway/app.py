"""The gateway process: one ASGI application in front, the rest behind it."""

import asyncio
import resource
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.addresses import base_url
from gateway.logs import configure
from gateway.reserved import RESERVED_SEGMENTS
from gateway.settings import Settings
from gateway.wiring import Parts, wire

DRAIN_SECONDS = 10
KEEP_ALIVE_SECONDS = 75


class Gateway:
    """Sends calls of APIs to the call path and everything reserved to the control plane.

    Both are made when the server starts; the bare dispatch costs a call almost nothing.
    """

    def __init__(self, settings: Settings, run_dir: Path, public_url: str) -> None:
        self._settings = settings
        self._run_dir = run_dir
        self._public_url = public_url
        self._calls: ASGIApp  # both are there once the lifespan has begun
        self._control: ASGIApp
        self._lifespan = Starlette(lifespan=self._life)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, or the server's start and stop."""
        if scope["type"] == "lifespan":
            await self._lifespan(scope, receive, send)
        elif first_segment(scope["path"]) in RESERVED_SEGMENTS:
            await self._control(scope, receive, send)
        else:
            await self._calls(scope, receive, send)

    @asynccontextmanager
    async def _life(self, _: Starlette) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            parts = await wire(stack, self._settings, self._run_dir, self._public_url)
            self._calls = parts.calls
            self._control = control_plane(parts)
            yield


def first_segment(path: str) -> str:
    """`api` of `/api/apis`; the empty text of `/`."""
    end = path.find("/", 1)
    return path[1:] if end < 0 else path[1:end]


def control_plane(parts: Parts) -> Starlette:
    """Issuer and control API; each answers failures in the shape its clients expect."""
    return Starlette(
        routes=[
            Route("/", welcome),
            parts.people.jwks,
            Mount("/auth/v1", parts.people.issuer),
            Mount("/", parts.control),
        ]
    )


async def welcome(request: Request) -> JSONResponse:
    """Where a person who opens the bare address can go."""
    base = str(request.base_url).rstrip("/")
    return JSONResponse({"name": "Sandgate", "reference": f"{base}/api/docs"})


def run_gateway(settings: Settings, descriptor: int, run_dir: Path) -> None:
    """Serve on a listener that the supervisor opened, until SIGTERM."""
    configure("gateway")
    _raise_descriptor_limit()
    listener = socket.socket(fileno=descriptor)
    application = Gateway(settings, run_dir, base_url(listener))
    config = uvicorn.Config(
        application,
        http="httptools",
        ws="websockets-sansio",
        loop="uvloop",
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=DRAIN_SECONDS,
    )
    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(uvicorn.Server(config).serve(sockets=[listener]))


def _raise_descriptor_limit() -> None:
    """A call holds two sockets; the usual soft limit of 1024 is for other times."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
