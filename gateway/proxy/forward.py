"""Sends one call through one connection and passes the answer on as it comes."""

import asyncio
import time
from collections.abc import Callable

from starlette.types import Send

from gateway.errors import SandgateError
from gateway.proxy import cors
from gateway.proxy.body import Caller
from gateway.proxy.call import Call
from gateway.proxy.connection import Connection
from gateway.proxy.errors import ApiTimeoutError, ClientGoneError, UploadTooSlowError
from gateway.proxy.head import AnswerHead
from gateway.proxy.headers import Field, RequestHead, context_start
from gateway.proxy.mapping import mapped
from gateway.proxy.reference import Reference
from gateway.tracing import PARENT

# what stands around the call, its id, its milliseconds, its trace, its parent there, the rest
HEAD = b"%b%b %d\r\ntraceparent: 00-%b-%b%b%b"
READ_SECONDS = 30.0  # for a caller to take one piece of its answer
PATIENCE_SECONDS = 0.05  # who waits longer gets somebody who notices when the caller leaves


class Exchange:
    """One call on one connection.

    `run` passes on everything but the last piece, so that the call can be recorded, and the
    connection be given back, before the answer is whole. It raises what went wrong; when
    `call.has_begun` by then, the caller must see a broken answer.
    """

    __slots__ = (
        "_call", "_caller", "_connection", "_loop", "_on_head", "_request", "_send", "_timer",
    )  # fmt: skip

    def __init__(
        self,
        call: Call,
        request: RequestHead,
        caller: Caller,
        connection: Connection,
        send: Send,
        on_head: Callable[[AnswerHead], None],
    ) -> None:
        self._on_head = on_head
        self._call = call
        self._request = request
        self._caller = caller
        self._connection = connection
        self._send = send
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    async def run(self, *, is_handed_over: bool = False) -> tuple[AnswerHead, bytes]:
        """The answer's head and its last piece; the head is sent unless that is all of it."""
        try:
            if not is_handed_over:
                self._hand_over()
            head = await self._head()
            self._on_head(head)
            if self._connection.complete:
                return head, self._connection.take()
            return head, await self._stream(head)
        finally:
            self._caller.leave()

    def _hand_over(self) -> None:
        call, connection = self._call, self._connection
        call.handed_at = time.perf_counter()
        connection.begin(is_head=call.method == "HEAD")
        seconds = call.deadline - self._loop.time()
        connection.send(head_bytes(call, self._request, seconds) + self._caller.first)
        if self._caller.is_complete:
            connection.sent()
        else:
            self._caller.attend(connection)

    async def _head(self) -> AnswerHead:
        connection = self._connection
        while connection.head is None:
            await self._news(self._call.deadline, self._too_late)
        if not connection.complete:
            connection.raise_failure()
        return connection.head

    async def _stream(self, head: AnswerHead) -> bytes:
        """Pass pieces on as they come, at the pace of the slower side."""
        connection = self._connection
        bounds = self._call.settings.streams
        end = self._loop.time() + bounds.total_seconds
        headers = app_headers(self._call, head)
        await self._pass_on(start_message(self._call, head.status, headers))
        while True:
            piece = connection.take()
            if connection.complete:
                return piece
            if piece:
                self._call.response_bytes += len(piece)
                if self._call.filling is not None:
                    self._call.filling.add(piece)
                await self._pass_on(body_message(piece, more=True))
            if self._loop.time() >= end:
                raise ApiTimeoutError("Its answer took too long.")
            if not connection.has_news:
                until = min(end, self._loop.time() + bounds.idle_seconds)
                await self._news(until, lambda: ApiTimeoutError("Its answer stopped."))

    async def _pass_on(self, message: dict[str, object]) -> None:
        """Give the caller its time to read; one that left reads nothing any more."""
        if self._call.asked.is_gone:
            raise ClientGoneError
        try:
            async with asyncio.timeout(READ_SECONDS):
                await self._send(message)
        except TimeoutError as error:
            raise ClientGoneError("It stopped reading.") from error

    async def _news(self, until: float, late: Callable[[], SandgateError]) -> None:
        """Wait for the sandbox; who waits long enough also watches the caller and the clock."""
        self._timer = self._loop.call_later(PATIENCE_SECONDS, self._watch, until, late)
        try:
            await self._connection.news()
        finally:
            self._timer.cancel()

    def _watch(self, until: float, late: Callable[[], SandgateError]) -> None:
        connection = self._connection
        self._caller.attend(connection)
        self._timer = self._loop.call_at(until, lambda: connection.fail(late()))

    def _too_late(self) -> SandgateError:
        """Whose fault it is that there is no answer yet."""
        if self._caller.is_complete or not self._connection.can_send:
            return ApiTimeoutError("It did not answer within the time that a call has.")
        return UploadTooSlowError("The body did not arrive within the time that a call has.")


def start_message(call: Call, status: int, headers: list[Field]) -> dict[str, object]:
    """The start of an answer, with the headers that only the gateway may set."""
    call.status = status
    call.has_begun = True
    call.begun_at = time.perf_counter()
    if call.settings.cors is not None:
        headers = cors.dressed(call.settings.cors, cors.origin_of(call.asked.head.fields), headers)
    return {
        "type": "http.response.start",
        "status": status,
        "headers": [*headers, *call.own_headers, *call.stamp.fields(call)],
    }


def app_headers(call: Call, head: AnswerHead) -> list[Field]:
    """The app's own, with its addresses and cookies where they belong."""
    return mapped(head.headers, call.root, call.asked.head.host)


def body_message(piece: bytes, *, more: bool) -> dict[str, object]:
    """A piece of an answer."""
    return {"type": "http.response.body", "body": piece, "more_body": more}


def head_bytes(call: Call, request: RequestHead, seconds: float) -> bytes:
    """Request line, the private header first, then the caller's own."""
    before, trace_id, after = around(
        call.method,
        call.query,
        call.client,
        call.scheme,
        Reference(call.ref, None, call.root, call.path),
        request,
    )
    own = call.request_id.encode()
    # whole milliseconds, at least one: zero would mean that there is no deadline
    left = max(int(seconds * 1000), 1)
    return HEAD % (before, own, left, trace_id or own, own[PARENT], after, b"")


def around(
    method: str,
    query: bytes,
    client: tuple[str, int] | None,
    scheme: str,
    reference: Reference,
    request: RequestHead,
) -> tuple[bytes, bytes, bytes]:
    """What of `HEAD` is the same for every call like this; the trace's id is empty for new ones."""
    before = b"%b %b%b%b HTTP/1.1\r\n%b" % (
        method.encode(),
        reference.path,
        b"?" if query else b"",
        query,
        context_start(client, scheme, reference.root),
    )
    return before, request.trace.trace_id, b"%b%b\r\n" % (request.trace.after, request.lines)
