"""Calls for which everything is at hand: key, route, limits, sandbox and connection.

They need no task and no wait: one step when the request is there, one when the answer is.
Whatever is not at hand, or takes long, goes the general way through `Endpoint`, from the
point that was reached. The steps and their order are those of `Endpoint._serve`.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

from starlette.types import Receive, Scope, Send

from gateway.auth.verified import VerifiedKey
from gateway.errors import SandgateError
from gateway.limits.headers import RateLines
from gateway.limits.types import Charge, Decision, Limiter
from gateway.metering.recorder import Grant, Recorder
from gateway.proxy.breaker import Breaker
from gateway.proxy.call import Call
from gateway.proxy.closing import Closing
from gateway.proxy.documents import DOCUMENT, PAGE
from gateway.proxy.errors import MeteringUnavailableError
from gateway.proxy.forward import HEAD, PATIENCE_SECONDS, app_headers, around
from gateway.proxy.head import lines_of
from gateway.proxy.headers import RequestHead, read_request
from gateway.proxy.leases import Leases
from gateway.proxy.loan import Loan, UnderWay, loan_at_once
from gateway.proxy.permit import Grants, refusal
from gateway.proxy.reference import Reference
from gateway.proxy.refusing import limit_headers, refused
from gateway.proxy.resolve import Resolver, Target
from gateway.proxy.tracing import PARENT
from gateway.server.connection import Request

_log = logging.getLogger(__name__)

BODY_BYTES = 64 * 1024  # of a request; more goes the general way
ANSWER_BYTES = 64 * 1024
DOCUMENTS = (DOCUMENT, PAGE)


class Opened:
    """What a head means; noted for the next request with the same head on its connection."""

    __slots__ = ("after", "before", "digest", "grant", "lines", "read", "reference", "trace_id")

    def __init__(
        self, request: Request, reference: Reference, read: RequestHead, digest: bytes
    ) -> None:
        head = request.head
        self.digest = digest  # of its key
        self.reference = reference
        self.read = read
        self.grant: Grant | None = None
        self.lines: RateLines
        # the call as the sandbox gets it, but for its id and its time
        self.before, self.trace_id, self.after = around(
            head.method, head.query, request.client, request.scheme, reference, read
        )

    def rate_lines(self, grant: Grant, decision: Decision) -> bytes:
        """The fields about limits."""
        if self.grant is not grant:
            self.grant, self.lines = grant, RateLines(grant.limits)
        return self.lines(decision)


class _At(Protocol):
    """Who knows keys."""

    def digest(self, presented: str) -> bytes | None:
        """See `Verifier`."""
        ...

    def at_hand(self, digest: bytes) -> VerifiedKey | None:
        """See `Verifier`."""
        ...


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


class Warm:
    """See above. `at_once` is called by the server with every request."""

    def __init__(
        self,
        general: General,
        resolver: Resolver,
        verifier: _At,
        limiter: Limiter,
        leases: Leases,
        recorder: Recorder,
        grants: Grants,
        closing: Closing,
        breaker: Breaker,
        *,
        call_seconds: float,
        body_bytes: int,
        clock: Callable[[], float],
    ) -> None:
        self.general = general
        self.closing = closing
        self._resolver = resolver
        self._verifier = verifier
        self._limiter = limiter
        self._leases = leases
        self._recorder = recorder
        self._grants = grants
        self._breaker = breaker
        self._call_seconds = call_seconds
        self._body_bytes = min(body_bytes, BODY_BYTES)
        self._clock = clock
        self._flights: dict[Flight, float] = {}  # in the order they began
        self._timer: asyncio.TimerHandle | None = None

    def at_once(self, request: Request) -> bool:
        """Whether the call is on its way; nothing has happened to it when it is not."""
        if not request.body.is_complete or request.body.held > self._body_bytes:
            return False
        opened = request.remembered
        if opened is None:
            opened = self._opened(request)
            request.remember(opened)
        if not isinstance(opened, Opened):
            return False
        destination = self._resolver.at_hand(opened.reference.ref)
        key = self._verifier.at_hand(opened.digest)
        if destination is None or key is None:
            return False
        route = destination.route
        if not route.versions or not route.settings.is_plain or refusal(route, key) is not None:
            return False
        grant = self._grants.of(key, route)
        target = self._resolver.pick(destination)
        is_in_trouble = target.spec.version_id in self._breaker
        if is_in_trouble or (grant.price and not self._recorder.healthy):
            return False
        flight = Flight(self, request, opened, grant)
        flight.target = target
        call = flight.call = self.general.new_call(request)
        call.address(opened.reference)
        call.settings, call.key = route.settings, key
        if grant.restriction is not None:
            address = call.client[0] if call.client else ""
            if grant.restriction.refusal(call.method, call.path, address) is not None:
                return False
        charge = Charge(grant.caller_tenant_id, grant.price) if grant.price else None
        decided = self._limiter.decide(grant.limits, charge)
        if isinstance(decided, Decision):
            self._decided(flight, decided, charge)
        else:
            decided.add_done_callback(lambda done: self._decided_later(flight, done, charge))
        return True

    def _opened(self, request: Request) -> Opened | str:
        """What the head means; a word when it is not for the warm path."""
        head = request.head
        if head.upgrade or head.is_http10 or head.method == "HEAD" or head.length is None:
            return "general"  # chunks among them: here a body goes on as it is, without a frame
        reference = self.general.reference(request)
        if reference is None or reference.pin is not None or reference.path in DOCUMENTS:
            return "general"
        try:
            read = read_request(head.fields)
        except SandgateError:
            return "general"
        digest = self._verifier.digest(read.key)
        return "general" if digest is None else Opened(request, reference, read, digest)

    def _decided_later(
        self, flight: "Flight", done: "asyncio.Future[Decision]", charge: Charge | None
    ) -> None:
        if done.cancelled() or done.exception() is not None:
            error = None if done.cancelled() else done.exception()
            known = error if isinstance(error, SandgateError) else SandgateError()
            if known is not error:
                _log.error("limits failed", exc_info=error)
            flight.go_on(_failing(known))
        else:
            self._decided(flight, done.result(), charge)

    def _decided(self, flight: "Flight", decision: Decision, charge: Charge | None) -> None:
        """Hand the call over, or say why not."""
        call, grant = flight.call, flight.grant
        if decision.unknown_credit:
            flight.request.start_over()  # nothing was counted
            return
        if not decision.admitted:
            call.own_headers = limit_headers(grant, decision)
            flight.go_on(_failing(refused(decision)))
            return
        flight.decision = decision
        now = flight.request.connection.loop.time()
        call.version = flight.target.n
        call.admitted(grant, charge, self._clock(), now + self._call_seconds)
        flight.body = flight.request.body.take()
        call.request_bytes = len(flight.body)
        borrowed = loan_at_once(self._leases, flight.target)
        if borrowed is None:
            flight.forward(None)
            return
        flight.begin(borrowed, self._call_seconds)
        self._watch(flight, now)

    # --- those that take long

    def _watch(self, flight: "Flight", now: float) -> None:
        self._flights[flight] = now
        if self._timer is None:
            loop = flight.request.connection.loop
            self._timer = loop.call_later(PATIENCE_SECONDS, self._look, loop)

    def landed(self, flight: "Flight") -> None:
        """It needs no watching any more."""
        self._flights.pop(flight, None)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        """Give those that took long a task: somebody who notices when the caller leaves."""
        self._timer = None
        since = loop.time() - PATIENCE_SECONDS
        late: list[Flight] = []
        for flight, began in self._flights.items():
            if began > since:
                break
            late.append(flight)
        for flight in late:
            flight.divert()
        if self._flights:
            self._timer = loop.call_later(PATIENCE_SECONDS, self._look, loop)


class Flight:
    """One call on its way without a task."""

    __slots__ = (
        "_loan", "_warm", "body", "call", "decision", "grant", "opened", "request", "target",
    )  # fmt: skip

    def __init__(self, warm: Warm, request: Request, opened: Opened, grant: Grant) -> None:
        self._warm = warm
        self.request = request
        self.opened = opened
        self.grant = grant
        self.decision: Decision
        self.call: Call
        self.target: Target
        self.body = b""
        self._loan: Loan

    def begin(self, borrowed: Loan, seconds: float) -> None:
        """Hand all of it over."""
        connection, opened, own = borrowed.connection, self.opened, self.call.request_id.encode()
        self._loan = borrowed
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
        connection = self._loan.connection
        try:
            if connection.is_whole:
                self._land()
            elif connection.must_be_attended(ANSWER_BYTES):
                self.divert()
        except Exception:  # noqa: BLE001 - a bug is logged, answered and recorded like a failure
            _log.exception("call %s failed", self.call.name)
            self._warm.landed(self)
            connection.listen_no_more()
            self.go_on(_failing(SandgateError()))

    def _land(self) -> None:
        """The answer is whole: record it, and send it when that is done."""
        self._warm.landed(self)
        call, connection = self.call, self._loan.connection
        connection.listen_no_more()  # what becomes of it from here on is not this call's
        head = connection.head
        assert head is not None
        last = connection.take()
        self._loan.give_back()
        call.status, call.response_bytes = head.status, len(last)
        lines = head.lines
        if head.is_touched or not call.root:
            lines = lines_of(app_headers(call, head))
        if head.length is None:
            lines += b"content-length: %d\r\n" % len(last)
        self._warm.closing.commit(call, self.grant, lambda ok: self._answer(ok, lines, last))

    def _answer(self, ok: bool, lines: bytes, body: bytes) -> None:
        if not ok:
            self.go_on(_failing(MeteringUnavailableError()))
            return
        call = self.call
        call.has_begun = True
        own = self.opened.rate_lines(self.grant, self.decision)
        if self.grant.answer_headers:
            own += lines_of(self.grant.answer_headers)
        if self.decision.degraded:
            own += b"x-sandgate-limits: degraded\r\n"
        self.request.answer(call.status, lines + own + call.stamp.lines(call), body)

    def divert(self) -> None:
        """Go on in a task, on the same connection."""
        self._warm.landed(self)
        self._loan.connection.listen_no_more()
        self.forward(UnderWay(self._loan, self.body))

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


def _failing(error: SandgateError) -> "Callable[[Receive, Send], Awaitable[None]]":
    async def fail(_receive: Receive, _send: Send) -> None:
        raise error

    return fail
