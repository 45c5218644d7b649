"""Runs an ASGI application on one request: the control plane, and calls that take their time."""

import asyncio
import socket
import struct
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote_to_bytes

import structlog
from starlette.types import ASGIApp, Message

from gateway.server.answer import LAST_CHUNK, Framing, framing, head_bytes
from gateway.server.connection import Request

_log = structlog.get_logger(__name__)

READ_SECONDS = 60.0  # for a caller to take what waits for it
_FAILED = b'{"type":"about:blank","title":"Internal error","status":500,"code":"internal_error"}'
_VERSIONS: Mapping[str, str] = {"version": "3.0", "spec_version": "2.4"}


def scope_of(request: Request, server: tuple[str, int] | None) -> dict[str, Any]:
    """The HTTP scope. `sandgate.request` is there for those who know this server."""
    head = request.head
    return {
        "type": "http",
        "asgi": _VERSIONS,
        "http_version": "1.0" if head.is_http10 else "1.1",
        "server": server,
        "client": request.client,
        "scheme": request.scheme,
        "method": head.method,
        "root_path": "",
        "path": unquote_to_bytes(head.path).decode("utf-8", "replace"),
        "raw_path": head.path,
        "query_string": head.query,
        "headers": list(head.fields),
        "state": {},
        "sandgate.request": request,
    }


def _reset(transport: asyncio.Transport) -> None:
    """Closing is a reset from now on; only TCP has that."""
    found = transport.get_extra_info("socket")
    if found is not None and found.family != socket.AF_UNIX:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


class Cycle:
    """`receive` and `send` of one request."""

    __slots__ = ("_framing", "_is_over", "_left", "_request", "_told_end")

    def __init__(self, request: Request) -> None:
        self._request = request
        self._framing: Framing | None = None
        self._left: int | None = None  # bytes that the body still owes
        self._is_over = False
        self._told_end = False

    async def run(self, app: ASGIApp, scope: dict[str, Any]) -> None:
        """Until the application returns; an answer that is not whole by then is broken off."""
        try:
            await app(scope, self.receive, self.send)
        except Exception:  # noqa: BLE001 - the last place that can still answer
            _log.exception("request_failed")
            if self._framing is None and not self._request.is_gone:
                await self.send({"type": "http.response.start", "status": 500, "headers": [
                    (b"content-type", b"application/problem+json"),
                    (b"content-length", b"%d" % len(_FAILED))]})  # fmt: skip
                await self.send({"type": "http.response.body", "body": _FAILED})
        finally:
            self._end()

    def _end(self) -> None:
        request = self._request
        if self._is_over or request.connection.request is not request:
            return  # whole, or another protocol's
        told, transport = self._framing, request.connection.transport
        if told is not None and told.has_body and told.length is None and not told.is_chunked:
            _reset(transport)  # its end would look like the end of the answer
        transport.abort()
        request.connection.done(keeps=False)

    async def receive(self) -> Message:
        """The next piece of the body; after its end, the news that the caller left."""
        request, body = self._request, self._request.body
        if not body.is_complete and not body.held and not request.is_gone:
            request.wait_for_body()
        while not request.is_gone:
            if body.held or (body.is_complete and not self._told_end):
                piece = body.take()
                request.connection.resume()
                self._told_end = body.is_complete
                return {"type": "http.request", "body": piece, "more_body": not body.is_complete}
            if self._is_over:
                break
            await request.news()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """The head, then pieces of the body, at the pace of the caller."""
        request = self._request
        if request.is_gone or self._is_over or request.connection.request is not request:
            return
        if message["type"] == "http.response.start":
            self._start(message)
        elif message["type"] == "http.response.body":
            self._piece(message.get("body", b""), more=message.get("more_body", False))
            if not request.connection.can_write and not self._is_over:
                await self._drained()

    async def _drained(self) -> None:
        """Who reads nothing of its answer for so long gets no more of it."""
        connection = self._request.connection
        try:
            async with asyncio.timeout(READ_SECONDS):
                await connection.drained()
        except TimeoutError:
            connection.transport.abort()

    def _start(self, message: Message) -> None:
        request, head = self._request, self._request.head
        fields = list(message.get("headers", ()))
        self._framing = told = framing(
            message["status"],
            fields,
            is_head=head.method == "HEAD",
            is_http10=head.is_http10,
            keeps=request.keeps,
        )
        self._left = told.length
        request.has_begun = True
        request.connection.hold(
            head_bytes(message["status"], fields, told, is_http10=head.is_http10)
        )

    def _piece(self, piece: bytes, *, more: bool) -> None:
        request, told = self._request, self._framing
        if told is None:
            raise RuntimeError("a piece of an answer before its head")
        if not told.has_body:
            piece = b""
        elif self._left is not None:
            self._left -= len(piece)
            if self._left < 0 or (self._left and not more):
                raise RuntimeError("the answer is not as long as it says")
        elif told.is_chunked:
            piece = b"%x\r\n%b\r\n" % (len(piece), piece) if piece else b""
            piece += b"" if more else LAST_CHUNK
        request.connection.write(piece)
        if not more:
            self._is_over = True
            keeps = told.keeps and request.keeps
            request.connection.done(keeps=keeps)
            request.wake()
