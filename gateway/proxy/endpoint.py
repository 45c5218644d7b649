"""The data plane: every call of every API. Reads as a sentence: see `_serve`."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

from starlette.types import Receive, Scope, Send

from gateway.auth.verified import VerifiedKey
from gateway.errors import SandgateError
from gateway.limits.headers import rate_headers
from gateway.limits.types import Charge, Decision, Limiter
from gateway.metering.recorder import Grant, Recorder
from gateway.problems import render
from gateway.proxy.body import Caller
from gateway.proxy.call import Call
from gateway.proxy.closing import Closing, Observe, observe_nothing
from gateway.proxy.errors import (
    ApiDiedError,
    ApiNotFoundError,
    ApiTimeoutError,
    BodyTooLargeError,
    ClientGoneError,
    GatewayStoppedError,
    MeteringUnavailableError,
    NoCreditError,
    RateLimitedError,
    UnreadError,
    UploadTooSlowError,
    VersionRevertedError,
)
from gateway.proxy.forward import Exchange, body_message, start_message
from gateway.proxy.handshake import Handshake, read_handshake
from gateway.proxy.head import AnswerHead
from gateway.proxy.headers import RequestHead, read_request
from gateway.proxy.identifiers import RequestIds
from gateway.proxy.leases import Leases
from gateway.proxy.loan import UnderWay, loan, loan_at_once
from gateway.proxy.permit import Grants, refusal
from gateway.proxy.reference import parse_reference
from gateway.proxy.resolve import Resolver, Target
from gateway.proxy.streams import Streams
from gateway.proxy.warm import Warm
from gateway.proxy.websocket import Opening, WebSockets, check_enabled
from gateway.server.connection import Request

_log = logging.getLogger(__name__)


class Verifier(Protocol):
    """Says who presented a key."""

    async def verify(self, presented: str) -> VerifiedKey:
        """The key's facts; raises why it is refused. Empty text: nothing was presented."""
        ...

    def at_hand(self, presented: str) -> VerifiedKey | None:
        """The key's facts when they are known and good; the warm path."""
        ...


LoadCredit = Callable[[str], Awaitable[tuple[int, int]]]


async def _no_credit(_account: str) -> tuple[int, int]:
    """Nobody has any."""
    return 0, 0


class Endpoint:
    """Answers `/{api}[@version][/path]`."""

    def __init__(
        self,
        *,
        resolver: Resolver,
        verifier: Verifier,
        limiter: Limiter,
        leases: Leases,
        recorder: Recorder,
        streams: Streams,
        call_seconds: float = 30.0,
        body_bytes: int = 10 * 1024 * 1024,
        observe: Observe = observe_nothing,
        load_credit: LoadCredit = _no_credit,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._resolver = resolver
        self._verifier = verifier
        self._limiter = limiter
        self._leases = leases
        self._recorder = recorder
        self._call_seconds = call_seconds
        self._body_bytes = body_bytes
        self._load_credit = load_credit
        self._clock = clock
        self._grants = Grants()
        self._new_id = RequestIds()
        self._closing = Closing(recorder, limiter, observe)
        self._websockets = WebSockets(leases, limiter, streams, self._closing.end)
        self._warm = Warm(
            self, resolver, verifier, limiter, leases, recorder, self._grants, self._closing,
            self._new_id, call_seconds=call_seconds, body_bytes=body_bytes, clock=clock,
        )  # fmt: skip

    def at_once(self, request: Request) -> bool:
        """Answer a call for which everything is at hand without a task; False: it is not."""
        return self._warm.at_once(request)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One call, whatever it needs."""
        call = Call(
            scope["method"],
            scope["query_string"],
            scope.get("client"),
            scope["scheme"],
            self._new_id(),
        )
        await self.guarded(call, self._serve(call, scope, receive, send), send)

    async def guarded(self, call: Call, work: Awaitable[None], send: Send) -> None:
        """Every expected failure becomes a problem document, and every call ends once."""
        try:
            await work
        except SandgateError as error:
            await self._refuse(call, error, send)
        except Exception:  # noqa: BLE001 - a bug is logged, answered and recorded like a failure
            _log.exception("call %s failed", call.request_id)
            await self._refuse(call, SandgateError(), send)
        finally:
            if not call.is_recorded:  # cancelled from outside
                self._closing.end(call, GatewayStoppedError())

    async def _serve(self, call: Call, scope: Scope, receive: Receive, send: Send) -> None:
        """Resolve, verify, admit, borrow, forward, record."""
        request, handshake = _asked(call, scope)
        reference = parse_reference(scope["raw_path"])
        if reference is None:
            raise ApiNotFoundError("No API has this id or name.")
        call.address(reference)
        destination = await self._resolver.find(reference.ref)
        key = await self._verifier.verify(request.key)
        if (error := refusal(destination.route, key)) is not None:
            raise error
        settings = destination.route.settings
        check_enabled(handshake, settings.websocket)
        target = await self._resolver.target(destination, reference.pin)
        if request.length is not None and request.length > self._body_bytes:
            raise BodyTooLargeError(self._body_bytes)
        grant = self._grants.of(key, destination.route)
        self._check_restriction(call, grant)
        charge = self._charge(grant)
        decision = await self._admit(grant, charge)
        call.own_headers = [*rate_headers(decision), *grant.answer_headers]
        if not decision.admitted:
            raise refused(decision)
        loop_time = asyncio.get_running_loop().time()
        call.version = target.n
        call.admitted(grant, charge, self._clock(), loop_time + self._call_seconds)
        if handshake is None:
            await self.forward(call, target, request, receive, send)
            return
        upgrade: Request = scope["sandgate.request"]
        opening = Opening(call, request, handshake, upgrade, grant, key, settings.websocket)
        await self._open(opening, target)

    async def _open(self, opening: Opening, target: Target) -> None:
        """Tried again like any call; recorded when both sides have agreed."""
        try:
            await self._websockets.serve(opening, target)
        except (UnreadError, VersionRevertedError) as error:
            target = await self._again(opening.call, target, error)
            try:
                await self._websockets.serve(opening, target)
            except VersionRevertedError as reverted:  # once is enough
                raise reverted.cause from reverted

    async def drain(self) -> None:
        """End what would go on for long; returns when it has ended."""
        await self._websockets.drain()

    def _check_restriction(self, call: Call, grant: Grant) -> None:
        if grant.restriction is None:
            return
        address = call.client[0] if call.client else ""
        error = grant.restriction.refusal(call.method, call.path, address)
        if error is not None:
            raise error

    def _charge(self, grant: Grant) -> Charge | None:
        """What the call costs; a call that costs something and cannot be recorded is not taken."""
        if not grant.price:
            return None
        if not self._recorder.healthy:
            raise MeteringUnavailableError
        return Charge(grant.caller_tenant_id, grant.price)

    async def _admit(self, grant: Grant, charge: Charge | None) -> Decision:
        """One decision over all limits and the price."""
        decision = await self._limiter.admit(grant.limits, charge)
        if charge is not None and decision.unknown_credit:
            granted, spent = await self._load_credit(charge.account)
            await self._limiter.set_credit(charge.account, granted, spent)
            decision = await self._limiter.admit(grant.limits, charge)
        return decision

    async def forward(
        self,
        call: Call,
        target: Target,
        request: RequestHead,
        receive: Receive,
        send: Send,
        under_way: UnderWay | None = None,
    ) -> None:
        """Pass an admitted call on and the answer back; recorded before its last piece leaves.

        `under_way`: the call has been handed over on this loan already, body and all.
        """
        caller = Caller(receive, request.length, self._body_bytes)
        try:
            if under_way is not None:
                caller.has_all(under_way.body)
            elif request.has_body:
                await self._first_piece(call, caller)
            try:
                head, last = await self._exchange(call, target, request, caller, send, under_way)
            except (UnreadError, VersionRevertedError) as error:  # the app has seen nothing of it
                target = await self._again(call, target, error)
                try:
                    head, last = await self._exchange(call, target, request, caller, send)
                except VersionRevertedError as reverted:  # once is enough
                    raise reverted.cause from reverted
        finally:
            call.request_bytes = caller.size
        call.response_bytes += len(last)
        call.status = head.status
        if not self._closing.end(call, None):
            raise MeteringUnavailableError
        if not call.has_begun:
            await send(start_message(call, head.status, head.headers))
        await send(body_message(last, more=False))

    async def _exchange(
        self,
        call: Call,
        target: Target,
        request: RequestHead,
        caller: Caller,
        send: Send,
        under_way: UnderWay | None = None,
    ) -> tuple[AnswerHead, bytes]:
        """One attempt on one connection: the answer's head and its last piece."""
        borrowed = under_way.loan if under_way else loan_at_once(self._leases, target)
        if borrowed is None:
            borrowed = await loan(self._leases, target, call.deadline)
        try:
            exchange = Exchange(call, request, caller, borrowed.connection, send)
            outcome = await exchange.run(is_handed_over=under_way is not None)
            if borrowed.fresh is not None:
                borrowed.answered(call.begun_at or time.perf_counter())
            return outcome
        except ApiTimeoutError:
            borrowed.overdue()
            raise
        except ApiDiedError as error:
            if not call.has_begun and not isinstance(error, UnreadError):
                error.detail = await borrowed.why_it_died() or error.detail
            raise
        finally:
            borrowed.give_back()

    async def _again(
        self, call: Call, target: Target, error: UnreadError | VersionRevertedError
    ) -> Target:
        """Where to try once more: with a new sandbox, or with the version that serves now."""
        if isinstance(error, UnreadError):
            return target
        if target.is_pinned:
            raise error.cause from error
        now = await self._resolver.target(await self._resolver.find(call.ref), None)
        if now.spec.version_id == target.spec.version_id:
            raise error.cause from error
        call.version = now.n
        return now

    async def _first_piece(self, call: Call, caller: Caller) -> None:
        try:
            await caller.open(call.deadline)
        except TimeoutError as error:
            raise UploadTooSlowError(
                "The body did not arrive within the time that a call has."
            ) from error

    async def _refuse(self, call: Call, error: SandgateError, send: Send) -> None:
        """Answer with a problem; when the answer had begun, leave it visibly broken."""
        status, headers, body = render(error, call.request_id)
        if not call.has_begun:
            call.response_bytes = len(body)
        self._closing.end(call, error)
        if call.has_begun or isinstance(error, ClientGoneError):
            return
        headers = [field for field in headers if field[0] != b"x-request-id"]
        await send(start_message(call, status, headers))
        await send(body_message(body, more=False))


def _asked(call: Call, scope: Scope) -> tuple[RequestHead, Handshake | None]:
    """What the headers say; with a handshake when they ask for a WebSocket."""
    asked: Request = scope["sandgate.request"]
    if asked.head.upgrade != b"websocket":
        return read_request(scope["headers"]), None
    handshake = read_handshake(call.method, scope["headers"])
    request = read_request(handshake.headers)
    return request._replace(key=request.key or handshake.presented), handshake


def refused(decision: Decision) -> SandgateError:
    """Why it was not admitted."""
    return NoCreditError() if decision.no_credit else RateLimitedError(decision)
