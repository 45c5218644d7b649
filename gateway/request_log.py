"""Around issuer and control plane: ids on every line of the log, and one line at the end."""

import time
from typing import Final

import structlog
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.logs import SUBJECT_IDS
from gateway.middleware import request_id_of
from gateway.tracing import trace_id_of

_PATH_MAX = 200
_METHOD_MAX = 16
_CLIENT_GONE = 499
#: They ask every second or so, and their line would say nothing.
_WATCHERS: Final = frozenset({"/health", "/ready", "/metrics"})

_log = structlog.get_logger(__name__)


class RequestLog:
    """Outermost. Calls of APIs do not come through here: each of them has a record."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.perf_counter(), 0
        request_id = request_id_of(scope)

        async def send_named(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message).setdefault("x-request-id", request_id)
            await send(message)

        trace_id = trace_id_of(scope["headers"], request_id)
        with structlog.contextvars.bound_contextvars(request_id=request_id, trace_id=trace_id):
            try:
                await self._app(scope, receive, send_named)
            finally:
                if scope["path"] not in _WATCHERS:
                    _log.info(
                        "request_answered",
                        method=scope["method"][:_METHOD_MAX],
                        path=scope["path"][:_PATH_MAX],  # tokens are in the query
                        status=status or _CLIENT_GONE,
                        seconds=round(time.perf_counter() - started, 4),
                    )
                structlog.contextvars.unbind_contextvars(*SUBJECT_IDS)
