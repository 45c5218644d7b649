"""Around everything that is not a call of an API: request id, time, body cap, safe headers."""

import asyncio
import time
from collections.abc import MutableMapping
from typing import Any
from uuid import uuid4

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.errors import PayloadTooLargeError, SandgateError
from gateway.metrics import Metrics
from gateway.problems import render

CONTROL_BODY_BYTES = 6 * 1024 * 1024
_BODY_SECONDS = 60.0
_log = structlog.get_logger(__name__)

_SAFE = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cache-control": "no-store",
}


def request_id_of(scope: MutableMapping[str, Any]) -> str:
    """The id of this request, made once; an id that a caller sent is never taken over."""
    state: MutableMapping[str, Any] = scope.setdefault("state", {})
    if "request_id" not in state:
        state["request_id"] = uuid4().hex
    return str(state["request_id"])


class Edge:
    """Outermost: every answer gets id, time and safe headers, every failure becomes a problem."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on; only HTTP is looked at."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id, started, status = request_id_of(scope), time.perf_counter(), 0

        async def send_dressed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                _dress(message, request_id, time.perf_counter() - started)
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self._app(scope, receive, send_dressed)
            except Exception:  # the last place that can still answer
                _log.exception("request_failed", method=scope["method"])
                if status:
                    raise
                await _answer(SandgateError(), request_id, send_dressed)
            finally:
                seconds = time.perf_counter() - started
                self._metrics.control(scope["method"], status or 499, seconds)


class BodyCap:
    """Refuses a body over the cap: at once when announced, else as soon as it is too long."""

    def __init__(
        self, app: ASGIApp, max_bytes: int = CONTROL_BODY_BYTES, seconds: float = _BODY_SECONDS
    ) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Count what is received."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced = Headers(scope=scope).get("content-length", "0")
        if announced.isdecimal() and int(announced) > self._max_bytes:
            error = PayloadTooLargeError(self._text(), headers={"Connection": "close"})
            await _answer(error, request_id_of(scope), send)
            return
        await self._app(scope, self._counting(receive), send)

    def _counting(self, receive: Receive) -> Receive:
        received, complete = 0, False
        deadline = asyncio.get_running_loop().time() + self._seconds

        async def counted() -> Message:
            nonlocal received, complete
            if complete:  # what follows is only the news that the client left
                return await receive()
            try:
                async with asyncio.timeout_at(deadline):
                    message = await receive()
            except TimeoutError as error:
                raise HTTPException(408, "The body did not arrive in time") from error
            received += len(message.get("body", b""))
            complete = not message.get("more_body", False)
            if received > self._max_bytes:
                raise HTTPException(413, self._text(), headers={"Connection": "close"})
            return message

        return counted

    def _text(self) -> str:
        return f"The body has more than {self._max_bytes} bytes"


def _dress(message: Message, request_id: str, seconds: float) -> None:
    headers = MutableHeaders(scope=message)
    headers["x-request-id"] = request_id
    headers["x-process-time"] = f"{seconds:.6f}"
    for name, value in _SAFE.items():
        headers.setdefault(name, value)


async def _answer(error: SandgateError, request_id: str, send: Send) -> None:
    status, headers, body = render(error, request_id)
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
