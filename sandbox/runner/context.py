"""Middleware that turns the gateway's private header into the ASGI scope, and answers probes."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import unquote

HEADER = b"x-sandgate-context"
PROBE = b"probe"

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]


class Context:
    """Wraps the user's application; it never sees the header or a probe."""

    def __init__(self, application: Callable[[Scope, Receive, Send], Awaitable[None]]) -> None:
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One scope."""
        if scope["type"] in ("http", "websocket"):
            value = take_header(scope)
            if value == PROBE and scope["type"] == "http":
                await _answer_probe(send)
                return
            if value is not None:
                apply_context(scope, value)
        await self._application(scope, receive, send)


async def _answer_probe(send: Send) -> None:
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def take_header(scope: Scope) -> bytes | None:
    """Remove the header wherever it stands; the first one is the gateway's."""
    headers = scope["headers"]
    if headers and headers[0][0] == HEADER and sum(name == HEADER for name, _ in headers) == 1:
        value: bytes = headers[0][1]
        scope["headers"] = headers[1:]
        return value
    values = [value for name, value in headers if name == HEADER]
    scope["headers"] = [pair for pair in headers if pair[0] != HEADER]
    return values[0] if values else None


def apply_context(scope: Scope, value: bytes) -> None:
    """Set client, scheme, root path and request id; a malformed header changes nothing."""
    parts = value.decode("ascii", "replace").split(" ")
    if len(parts) != 5 or not parts[1].isdecimal():
        return
    host, port, scheme, raw_root_path, request_id = parts
    root_path = unquote(raw_root_path)
    scope["client"] = (host, int(port))
    scope["scheme"] = _scheme(scheme, scope["type"])
    scope["root_path"] = root_path
    scope["path"] = root_path + scope["path"]
    scope["raw_path"] = raw_root_path.encode("ascii", "replace") + scope.get("raw_path", b"")
    extensions = dict(scope.get("extensions") or {})
    extensions["sandgate"] = {"request_id": request_id}
    scope["extensions"] = extensions


def _scheme(scheme: str, kind: str) -> str:
    """A WebSocket under https is wss, whichever of the two words came."""
    if kind != "websocket":
        return scheme
    return {"http": "ws", "https": "wss"}.get(scheme, scheme)
