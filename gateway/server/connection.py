"""One caller's connection: one request at a time, the next one when its answer is whole."""

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import cast

from starlette.types import ASGIApp

from gateway.server.answer import CONTINUE, STATUS_LINES, date_line
from gateway.server.body import HIGH_WATER, Body
from gateway.server.host import Host, Sender
from gateway.server.request import BadRequest, Head, read_head, refuse_partial
from gateway.server.upgrade import Field

_HEAD_END = b"\r\n\r\n"

PIPELINE_BYTES = 64 * 1024  # of requests that came before their turn
LINGER_BYTES = 16 * 1024 * 1024  # read and forgotten, so that the caller can see its answer
WRITE_BYTES = 256 * 1024  # of an answer held for a slow caller


class ClientConnection(asyncio.Protocol):
    """Reads heads, feeds bodies, writes answers. `since` is when its state began."""

    def __init__(self, host: Host, loop: asyncio.AbstractEventLoop) -> None:
        self._host = host
        self.loop = loop
        self.transport: asyncio.Transport
        self.request: Request | None = None
        self.client: Sender | None = None
        self.since = host.now
        self.is_lingering = False
        self.is_gone = False
        self._partial = b""
        self._is_paused = False
        self._can_write = True
        self._drained: asyncio.Future[None] | None = None
        self._lingered = 0
        self._held = b""
        # callers repeat themselves: the same bytes are read once
        self._last_bytes = b""
        self._last_head: Head | None = None
        self.remembered: object = None  # what a handler made of that head

    # --- for the event loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Open."""
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(WRITE_BYTES)
        peer = transport.get_extra_info("peername")
        self.client = (str(peer[0]), int(peer[1])) if isinstance(peer, tuple) else None
        self._host.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Closed, by whichever side."""
        self.is_gone = True
        self._host.closed(self)
        self.resume_writing()
        if self.request is not None:
            self.request.gone()

    def pause_writing(self) -> None:
        """The caller does not keep up."""
        self._can_write = False

    def resume_writing(self) -> None:
        """It has caught up, or is gone."""
        self._can_write = True
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)
        self.loop.call_soon(self._next)

    def data_received(self, data: bytes) -> None:
        """Bytes from the caller."""
        request = self.request
        if self.is_lingering:
            self._forget(data)
        elif request is None:
            self._read(data)
        elif request.body.is_complete:
            self._wait(data)
        else:
            self._feed(request, data)

    # --- reading

    def _read(self, data: bytes) -> None:
        if self._partial:
            data, self._partial = self._partial + data, b""
        else:
            self.since = self._host.now
        end = data.find(_HEAD_END) + len(_HEAD_END)
        try:
            if end < len(_HEAD_END):
                refuse_partial(data)
                self._partial = data
                return
            head = self._head(data[:end] if end < len(data) else data)
            request = Request(self, head)
            if end < len(data):
                request.body.feed(data[end:])
        except BadRequest as error:
            self.refuse(error)
            return
        self.request = request
        self._host.dispatch(request)

    def _head(self, data: bytes) -> Head:
        if data == self._last_bytes and self._last_head is not None:
            return self._last_head
        refuse_partial(data)
        self._last_head = None
        self.remembered = None
        head = read_head(data)
        self._last_bytes, self._last_head = data, head
        return head

    def _wait(self, data: bytes) -> None:
        """A request that came before the answer to the one under way."""
        body = cast(Request, self.request).body
        body.rest += data
        if len(body.rest) > PIPELINE_BYTES:
            self.pause()

    def _feed(self, request: "Request", data: bytes) -> None:
        try:
            request.body.feed(data)
        except BadRequest as error:
            request.broken(error)
            return
        if request.body.held > HIGH_WATER:
            self.pause()
        request.wake()

    def _forget(self, data: bytes) -> None:
        self._lingered += len(data)
        if self._lingered > LINGER_BYTES:
            self.transport.abort()

    def pause(self) -> None:
        """Let the kernel hold what comes."""
        if not self._is_paused and not self.is_gone:
            self._is_paused = True
            self.transport.pause_reading()

    def resume(self) -> None:
        """Go on."""
        if self._is_paused and not self.is_gone:
            self._is_paused = False
            self.transport.resume_reading()

    # --- writing

    @property
    def is_reading(self) -> bool:
        """A head has begun and is not whole."""
        return bool(self._partial)

    def too_slow(self) -> None:
        """Its head took too long."""
        self.refuse(BadRequest(408, "request_too_slow", "The request did not arrive in time."))

    def sender(self, head: Head) -> tuple[Sender | None, str]:
        """Whose request this is, as far as the servers in front of this one can be believed."""
        return self._host.sender(self.client, head)

    def run(self, request: "Request", app: ASGIApp | None) -> None:
        """Answer it in a task."""
        self._host.run(request, app)

    @property
    def is_ending(self) -> bool:
        """No further request is taken."""
        return self._host.is_draining

    @property
    def can_write(self) -> bool:
        """Whether the caller keeps up with its answer."""
        return self._can_write

    def hold(self, data: bytes) -> None:
        """Write this with what comes next, in one piece; alone when nothing comes at once."""
        self._held += data
        self.loop.call_soon(self.write, b"")

    def write(self, data: bytes) -> None:
        """Now."""
        if self._held:
            data, self._held = self._held + data, b""
        if data and not self.is_gone and not self.transport.is_closing():
            self.transport.write(data)

    async def drained(self) -> None:
        """Wait until it does, or is gone; whoever waits has a deadline."""
        while not self._can_write and not self.is_gone:
            self._drained = self.loop.create_future()
            await self._drained

    def done(self, *, keeps: bool) -> None:
        """The answer is whole: the next request, or the end."""
        request, self.request = self.request, None
        self.since = self._host.now
        if self.is_gone or request is None:
            return
        if not request.body.is_complete:
            self.linger()
        elif not keeps or self._host.is_draining:
            self.transport.close()
        elif request.body.rest or self._is_paused or not self._can_write:
            # in front of whatever arrives until its turn comes
            self._partial = request.body.rest
            self.loop.call_soon(self._next)

    def _next(self) -> None:
        if self.request is not None or self.is_gone or self.is_lingering:
            return
        if not self._can_write:
            self.pause()  # who reads no answers gets no further ones
            return
        self.resume()
        if self._partial:
            self._read(b"")

    def linger(self) -> None:
        """Answered, while the caller still sends: closing now would destroy the answer."""
        self.is_lingering = True
        self.since = self._host.now
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.resume()

    def refuse(self, error: BadRequest) -> None:
        """Answer what is no request, and stop reading it as one."""
        document = {
            "type": "about:blank",
            "title": "The request cannot be read",
            "status": error.status,
            "code": error.code,
            "detail": error.detail,
        }
        body = json.dumps(document).encode()
        self.transport.write(
            b"%b%bcontent-type: application/problem+json\r\ncontent-length: %d\r\n"
            b"connection: close\r\n\r\n%b"
            % (STATUS_LINES[error.status], date_line(), len(body), body)
        )
        self.request = None
        self.linger()

    def leave(self, protocol: asyncio.Protocol, early: bytes) -> asyncio.Transport:
        """Another protocol takes the connection over."""
        transport = self.transport
        self._host.closed(self)
        self.request, self.is_gone = None, True
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        if self._is_paused:
            transport.resume_reading()
        if early:
            protocol.data_received(early)
        return transport


class Request:
    """One request and the way to its answer."""

    __slots__ = (
        "_is_told_to_go_on", "_leavers", "_waiter", "body", "client", "connection", "error",
        "has_begun", "head", "is_gone", "scheme",
    )  # fmt: skip

    def __init__(self, connection: ClientConnection, head: Head) -> None:
        self.connection = connection
        self.head = head
        self.client, self.scheme = connection.sender(head)
        self.body = Body(head.length)
        self.is_gone = False  # the caller left
        self.has_begun = False  # something of the answer was written
        self.error: BadRequest | None = None  # what is wrong with its body
        self._waiter: asyncio.Future[None] | None = None
        self._is_told_to_go_on = False
        self._leavers: list[Callable[[], object]] = []

    @property
    def remembered(self) -> object:
        """What was noted about the same head on this connection; None when nothing was."""
        return self.connection.remembered

    def remember(self, note: object) -> None:
        """Note something for the next request with the very same head."""
        self.connection.remembered = note

    @property
    def keeps(self) -> bool:
        """Whether the connection may go on after this answer, as far as is known now."""
        head = self.head
        return head.keeps and self.body.is_complete and not self.connection.is_ending

    def run(self, app: ASGIApp) -> None:
        """Answer it in a task by this application."""
        self.connection.run(self, app)

    def start_over(self) -> None:
        """Answer it in a task by the server's application."""
        self.connection.run(self, None)

    def wait_for_body(self) -> None:
        """Somebody reads it now: a caller that waits for a word gets it."""
        if self.head.expects and not self.has_begun and not self._is_told_to_go_on:
            self._is_told_to_go_on = True
            self.connection.transport.write(CONTINUE)

    async def news(self) -> None:
        """Wait for more of the body, its end, or the end of the caller."""
        self._waiter = self.connection.loop.create_future()
        await self._waiter

    def wake(self) -> None:
        """Something changed."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def when_gone(self, callback: Callable[[], object]) -> None:
        """Call this when the caller leaves, or now when it has left."""
        if self.is_gone:
            callback()
        else:
            self._leavers.append(callback)

    def gone(self) -> None:
        """The connection is lost."""
        self.is_gone = True
        self.wake()
        for callback in self._leavers:
            callback()

    def broken(self, error: BadRequest) -> None:
        """Its body cannot be read on."""
        self.error = error
        if not self.has_begun:
            self.connection.refuse(error)
        else:
            self.connection.transport.abort()
        self.gone()

    def answer(self, status: int, lines: bytes, body: bytes) -> None:
        """A whole answer in one write: `lines` are its fields, framing included."""
        connection, keeps = self.connection, self.keeps
        if connection.request is not self:
            return  # answered before, or given up: these bytes would be another request's answer
        if not self.is_gone and not connection.transport.is_closing():
            end = b"\r\n" if keeps else b"connection: close\r\n\r\n"
            connection.transport.write(
                b"%b%b%b%b%b" % (STATUS_LINES[status], date_line(), lines, end, body)
            )
        connection.done(keeps=keeps)

    def take_over(self, protocol: asyncio.Protocol) -> asyncio.Transport:
        """See `Upgrade`."""
        return self.connection.leave(protocol, self.body.rest)

    @property
    def headers(self) -> tuple[Field, ...]:
        """See `Upgrade`."""
        return self.head.fields

    def refuse(self, status: int, headers: Sequence[Field], body: bytes) -> None:
        """See `Upgrade`."""
        kept = [f for f in headers if f[0] not in (b"content-length", b"connection")]
        lines = b"".join(b"%b: %b\r\n" % field for field in kept)
        lines += b"content-length: %d\r\nconnection: close\r\n" % len(body)
        if not self.is_gone:
            self.connection.transport.write(
                b"%b%b%b\r\n%b" % (STATUS_LINES[status], date_line(), lines, body)
            )
        self.connection.done(keeps=False)
