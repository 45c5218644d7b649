"""Calls for which everything is at hand: key, route, limits, sandbox and connection.

They need no task and no wait: one step when the request is there, one when the answer is.
Whatever is not at hand, or takes long, goes the general way through `Endpoint`, from the
point that was reached. The steps and their order are those of `Endpoint._serve`.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol

import structlog

from gateway.auth.verified import VerifiedKey
from gateway.errors import SandgateError
from gateway.limits.types import Charge, Decision, Limiter
from gateway.metering.recorder import Recorder
from gateway.proxy.breaker import Breaker
from gateway.proxy.closing import Closing
from gateway.proxy.documents import DOCUMENT, PAGE
from gateway.proxy.flight import Flight, General, failing
from gateway.proxy.forward import PATIENCE_SECONDS
from gateway.proxy.headers import read_request
from gateway.proxy.leases import Leases
from gateway.proxy.loan import loan_at_once
from gateway.proxy.opened import Opened
from gateway.proxy.permit import Grants, refusal
from gateway.proxy.refusing import limit_headers, refused
from gateway.proxy.resolve import Resolver
from gateway.server.connection import Request

_log = structlog.get_logger(__name__)

BODY_BYTES = 64 * 1024  # of a request; more goes the general way
DOCUMENTS = (DOCUMENT, PAGE)


class _At(Protocol):
    """Who knows keys."""

    def digest(self, presented: str) -> bytes | None:
        """See `Verifier`."""
        ...

    def at_hand(self, digest: bytes) -> VerifiedKey | None:
        """See `Verifier`."""
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
                _log.error("limits_failed", exc_info=error, **flight.call.log_context())
            flight.go_on(failing(known))
        else:
            self._decided(flight, done.result(), charge)

    def _decided(self, flight: "Flight", decision: Decision, charge: Charge | None) -> None:
        """Go on with the call, whatever happens: from here on nobody else does."""
        try:
            self._go_on(flight, decision, charge)
        except Exception:  # noqa: BLE001 - see `failed`
            flight.failed()

    def _go_on(self, flight: Flight, decision: Decision, charge: Charge | None) -> None:
        """Hand the call over, or say why not."""
        call, grant = flight.call, flight.grant
        if decision.unknown_credit:
            flight.request.start_over()  # nothing was counted
            return
        if not decision.admitted:
            call.own_headers = limit_headers(grant, decision)
            flight.go_on(failing(refused(decision)))
            return
        now = flight.request.connection.loop.time()
        call.admitted(grant, charge, self._clock(), now + self._call_seconds)
        call.version = flight.target.n
        flight.decision = decision
        flight.body = flight.request.body.take()
        call.request_bytes = len(flight.body)
        borrowed = flight.loan = loan_at_once(self._leases, flight.target)
        if borrowed is None:
            flight.forward(None)
            return
        flight.begin(borrowed.connection, self._call_seconds)
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
            try:
                flight.divert()
            except Exception:  # noqa: BLE001 - see `failed`; the others go on
                flight.failed()
        if self._flights:
            self._timer = loop.call_later(PATIENCE_SECONDS, self._look, loop)
