"""One call of the warm path: handed over in one step, answered in another, without a task.

Nobody waits for it, so it ends itself: whatever goes wrong in a step, a bug included, gives
back what it holds and is answered and recorded in a task like any other failure.
"""

import time
from collections.abc import Awaitable, Callable
from typing import Protocol

import structlog
from starlette.types import Receive, Scope, Send

from gateway.errors import SandgateError
from gateway.limits.types import Decision
from gateway.metering.recorder import Grant
from gateway.proxy.call import Call
from gateway.proxy.closing import Closing
from gateway.proxy.connection import Connection
from gateway.proxy.errors import MeteringUnavailableError
from gateway.proxy.forward import HEAD, app_headers
from gateway.proxy.head import lines_of
from gateway.proxy.headers import RequestHead
from gateway.proxy.loan import Loan, UnderWay
from gateway.proxy.opened import Opened
from gateway.proxy.reference import Reference
from gateway.proxy.refusing import limit_headers
from gateway.proxy.resolve import Target
from gateway.server.connection import Request
from gateway.tracing import PARENT

_log = structlog.get_logger(__name__)

ANSWER_BYTES = 64 * 1024


class General(Protocol):
    """The way of all other calls."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """From the beginning."""
        ...

    def reference(self, request: Request) -> Reference | None:
        """See `Endpoint`."""
        ...

    def new_call(self, request: Request) -> Call:
        """See `Endpoint`."""
        ...

    async def guarded(self, call: Call, work: Awaitable[None], send: Send) -> None:
        """See `Endpoint`."""
        ...

    async def forward(
        self,
        call: Call,
        target: Target,
        request: RequestHead,
        receive: Receive,
        send: Send,
        under_way: UnderWay | None = None,
    ) -> None:
        """See `Endpoint`."""
        ...


class _Tower(Protocol):
    """Who began a flight."""

    general: General
    closing: Closing

    def landed(self, flight: "Flight") -> None:
        """It needs no watching any more."""
        ...


class Flight:
    """One call on its way without a task."""

    __slots__ = (
        "_warm", "body", "call", "decision", "grant", "loan", "opened", "request", "target",
    )  # fmt: skip

    def __init__(self, warm: _Tower, request: Request, opened: Opened, grant: Grant) -> None:
        self._warm = warm
        self.request = request
        self.opened = opened
        self.grant = grant
        self.decision: Decision
        self.call: Call
        self.target: Target
        self.body = b""
        self.loan: Loan | None = None  # while it is this flight's to give back

    def begin(self, connection: Connection, seconds: float) -> None:
        """Hand all of it over on the connection of its loan."""
        opened, own = self.opened, self.call.request_id.encode()
        self.call.handed_at = time.perf_counter()
        connection.begin(is_head=False)
        connection.send(
            HEAD
            % (
                opened.before,
                own,
                max(int(seconds * 1000), 1),
                opened.trace_id or own,
                own[PARENT],
                opened.after,
                self.body,
            )
        )
        connection.sent()
        connection.listen(self._news)

    def _news(self) -> None:
        """The sandbox said something, or is gone."""
        try:
            borrowed = self.loan
            if borrowed is None:
                return
            if borrowed.connection.is_whole:
                self._land(borrowed)
            elif borrowed.connection.must_be_attended(ANSWER_BYTES):
                self.divert()
        except Exception:  # noqa: BLE001 - see `failed`
            self.failed()

    def failed(self) -> None:
        """A bug, told by who caught it: logged, answered and recorded like any failure.

        What is held goes back; a connection with a call under way on it is not used again.
        """
        _log.exception("call_failed", **self.call.log_context())
        self._warm.landed(self)
        borrowed, self.loan = self.loan, None
        if borrowed is not None:
            borrowed.give_back()
        self.go_on(failing(SandgateError()))

    def _land(self, borrowed: Loan) -> None:
        """The answer is whole: record it, and send it when that is done."""
        self._warm.landed(self)
        call, connection = self.call, borrowed.connection
        connection.listen_no_more()  # what becomes of it from here on is not this call's
        head = connection.head
        assert head is not None
        last = connection.take()
        self.loan = None
        borrowed.give_back()
        call.status, call.response_bytes = head.status, len(last)
        lines = head.lines
        if head.is_touched or not call.root:
            lines = lines_of(app_headers(call, head))
        if head.length is None:
            lines += b"content-length: %d\r\n" % len(last)
        self._warm.closing.commit(call, self.grant, lambda ok: self._answer(ok, lines, last))

    def _answer(self, ok: bool, lines: bytes, body: bytes) -> None:
        try:
            if ok:
                self._send(lines, body)
            else:
                self.go_on(failing(MeteringUnavailableError()))
        except Exception:  # noqa: BLE001 - see `failed`
            self.failed()

    def _send(self, lines: bytes, body: bytes) -> None:
        call = self.call
        own = self.opened.rate_lines(self.grant, self.decision)
        if self.grant.answer_headers:
            own += lines_of(self.grant.answer_headers)
        if self.decision.degraded:
            own += b"x-sandgate-limits: degraded\r\n"
        self.request.answer(call.status, lines + own + call.stamp.lines(call), body)
        call.has_begun = True

    def divert(self) -> None:
        """Go on in a task, on the same connection."""
        borrowed = self.loan
        if borrowed is None:
            return
        self._warm.landed(self)
        borrowed.connection.listen_no_more()
        self.forward(UnderWay(borrowed, self.body))
        self.loan = None

    def forward(self, under_way: UnderWay | None) -> None:
        """The general way, from where the call is admitted."""
        call, general, read = self.call, self._warm.general, self.opened.read
        call.own_headers = limit_headers(self.grant, self.decision)
        body = self.body

        async def rest(receive: Receive, send: Send) -> None:
            await general.forward(
                call, self.target, read, with_body(body, receive), send, under_way
            )

        self.go_on(rest)

    def go_on(self, work: "Callable[[Receive, Send], Awaitable[None]]") -> None:
        """Do this in a task, guarded like every call."""
        call, general = self.call, self._warm.general

        async def run(_scope: Scope, receive: Receive, send: Send) -> None:
            await general.guarded(call, work(receive, send), send)

        self.request.run(run)


def with_body(body: bytes, receive: Receive) -> Receive:
    """A `receive` that begins with this body, which was taken already."""
    if not body:
        return receive
    is_given = False

    async def first_body() -> "dict[str, object]":
        nonlocal is_given
        if is_given:
            return dict(await receive())
        is_given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return first_body


def failing(error: SandgateError) -> "Callable[[Receive, Send], Awaitable[None]]":
    async def fail(_receive: Receive, _send: Send) -> None:
        raise error

    return fail
