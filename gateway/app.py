"""The gateway process: one ASGI application in front, the rest behind it."""

import asyncio
import os
import resource
import signal
import socket
from contextlib import AsyncExitStack
from pathlib import Path

import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route
from starlette.types import Receive, Scope, Send

from gateway.addresses import base_url
from gateway.proxy.forwarded import sender_behind
from gateway.reporting import reporting
from gateway.request_log import RequestLog
from gateway.reserved import RESERVED_SEGMENTS
from gateway.server.ending import drain_seconds
from gateway.server.serving import Server
from gateway.server.succession import is_my_turn, marker
from gateway.settings import Settings
from gateway.wiring import Parts, wire
from sandbox.paths import RunPaths


class Gateway:
    """Sends calls of APIs to the call path and everything reserved to the control plane."""

    def __init__(self, parts: Parts) -> None:
        self._calls = parts.calls
        self._control = RequestLog(control_plane(parts))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        is_reserved = first_segment(scope["raw_path"]) in RESERVED_SEGMENTS
        if is_reserved and not self._calls.is_own_origin(scope["sandgate.request"]):
            await self._control(scope, receive, send)
        else:
            await self._calls(scope, receive, send)


def first_segment(raw_path: bytes) -> str:
    """`api` of `/api/apis`; the empty text of `/`. As it is written: nothing is decoded."""
    end = raw_path.find(b"/", 1)
    return (raw_path[1:] if end < 0 else raw_path[1:end]).decode("ascii")


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


def run_gateway(
    settings: Settings, descriptor: int, run_dir: Path, predecessor: int | None = None
) -> None:
    """Serve on a listener that the supervisor opened, until SIGTERM."""
    _raise_descriptor_limit()
    listener = socket.socket(fileno=descriptor)
    with (
        reporting(settings.gateway_name, settings),
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        runner.run(_serve(settings, listener, run_dir, predecessor))


async def _serve(
    settings: Settings, listener: socket.socket, run_dir: Path, predecessor: int | None
) -> None:
    """Everything is there before the first request, and goes after the last."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    if predecessor is not None:
        waiting = marker(RunPaths(run_dir).gateway_socket(os.getpid()))
        if not await is_my_turn(predecessor, waiting, stop):
            return
    async with AsyncExitStack() as stack:
        parts = await wire(stack, settings, run_dir, base_url(listener))
        server = Server(
            Gateway(parts), parts.calls.at_once, sender=sender_behind(settings.trusted_proxies)
        )
        await server.start([listener])
        await stop.wait()
        parts.ending.has_begun = True
        notice = settings.drain_notice_seconds
        seconds = drain_seconds(settings.call_deadline_seconds)
        await server.drain(seconds, notice=notice, tell=parts.calls.drain)


def _raise_descriptor_limit() -> None:
    """A call holds two sockets; the usual soft limit of 1024 is for other times."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
