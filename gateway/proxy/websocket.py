"""Refuses WebSocket upgrades before they are accepted."""

from starlette.types import Receive, Scope, Send

from gateway.problems import render
from gateway.proxy.errors import WebSocketUnsupportedError


async def refuse_websocket(scope: Scope, receive: Receive, send: Send, request_id: str) -> None:
    """A problem document where the server can send one, else its plain refusal."""
    await receive()
    if "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": 1008})
        return
    error = WebSocketUnsupportedError("Calls of APIs are plain HTTP in this release.")
    status, headers, body = render(error, request_id)
    await send({"type": "websocket.http.response.start", "status": status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": body})
