"""Middleware that turns the gateway's private header into the ASGI scope, and answers probes."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import unquote

from .calls import Application, Calls

_LONGEST_MILLISECONDS = 24 * 60 * 60 * 1000

HEADER = b"x-sandgate-context"
PROBE = b"probe"

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]


class Context:
    """Wraps the user's application; it never sees the header or a probe."""

    def __init__(self, application: Application, calls: Calls) -> None:
        self._application = application
        self._calls = calls

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One scope. A WebSocket is a call whose deadline ends when the app accepts it."""
        if scope["type"] not in ("http", "websocket"):
            await self._application(scope, receive, send)
            return
        value = take_header(scope)
        if value == PROBE and scope["type"] == "http":
            await _answer_probe(send)
            return
        milliseconds = 0 if value is None else apply_context(scope, value)
        await self._calls.run(self._application, scope, receive, send, milliseconds)


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


def apply_context(scope: Scope, value: bytes) -> int:
    """Set client, scheme, root path and request id; milliseconds until the deadline, 0 for none.

    A malformed header changes nothing.
    """
    parts = value.decode("ascii", "replace").split(" ")
    if len(parts) == 5:
        parts.append("0")  # gateways of the time before deadlines
    if len(parts) != 6 or not (_is_number(parts[1]) and _is_number(parts[5])):
        return 0
    host, port, scheme, raw_root_path, request_id, milliseconds = parts
    root_path = unquote(raw_root_path)
    scope["client"] = (host, int(port))
    scope["scheme"] = _scheme(scheme, scope["type"])
    scope["root_path"] = root_path
    scope["path"] = root_path + scope["path"]
    scope["raw_path"] = raw_root_path.encode("ascii", "replace") + scope.get("raw_path", b"")
    extensions = dict(scope.get("extensions") or {})
    extensions["sandgate"] = {"request_id": request_id}
    scope["extensions"] = extensions
    return min(int(milliseconds), _LONGEST_MILLISECONDS)


def _is_number(text: str) -> bool:
    return text.isdecimal() and len(text) <= 12


def _scheme(scheme: str, kind: str) -> str:
    """A WebSocket under https is wss, whichever of the two words came."""
    if kind != "websocket":
        return scheme
    return {"http": "ws", "https": "wss"}.get(scheme, scheme)
