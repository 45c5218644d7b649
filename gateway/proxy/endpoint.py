"""The data plane: one ASGI application for every call of every API."""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Protocol

from starlette.types import Receive, Scope, Send

from gateway.auth.verified import VerifiedKey
from gateway.errors import SandgateError
from gateway.limits.headers import rate_headers
from gateway.limits.types import Limiter
from gateway.metering.recorder import Recorder
from gateway.problems import render
from gateway.proxy.body import Caller
from gateway.proxy.call import Call
from gateway.proxy.errors import (
    ApiDiedError,
    ApiNotFoundError,
    ApiTimeoutError,
    BodyTooLargeError,
    ClientGoneError,
    GatewayStoppedError,
    RateLimitedError,
    UnreadError,
    UploadTooSlowError,
    VersionRevertedError,
)
from gateway.proxy.forward import Exchange, body_message, start_message
from gateway.proxy.head import AnswerHead
from gateway.proxy.headers import RequestHead, read_request
from gateway.proxy.identifiers import RequestIds
from gateway.proxy.leases import Leases
from gateway.proxy.loan import loan, loan_at_once
from gateway.proxy.permit import Grants, refusal
from gateway.proxy.reference import parse_reference
from gateway.proxy.resolve import Resolver, Target
from gateway.proxy.websocket import refuse_websocket

_log = logging.getLogger(__name__)

LINGER_BYTES = 16 * 1024 * 1024  # read and forgotten after a 413, so that it can be seen
LINGER_SECONDS = 2.0


class Verifier(Protocol):
    """Says who presented a key."""

    async def verify(self, presented: str) -> VerifiedKey:
        """The key's facts; raises why it is refused. Empty text: nothing was presented."""
        ...


Observe = Callable[[int, str | None, float], None]


def _observe_nothing(_status: int, _error_code: str | None, _seconds: float) -> None:
    """Nobody counts."""


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
        call_seconds: float = 30.0,
        body_bytes: int = 10 * 1024 * 1024,
        observe: Observe = _observe_nothing,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._resolver = resolver
        self._verifier = verifier
        self._limiter = limiter
        self._leases = leases
        self._recorder = recorder
        self._call_seconds = call_seconds
        self._body_bytes = body_bytes
        self._observe = observe
        self._clock = clock
        self._grants = Grants()
        self._new_id = RequestIds()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One call; every expected failure becomes a problem document."""
        if scope["type"] == "websocket":
            await refuse_websocket(scope, receive, send, self._new_id())
            return
        call = Call(scope, self._new_id())
        try:
            await self._serve(call, receive, send)
        except SandgateError as error:
            await self._refuse(call, error, receive, send)
        except Exception:  # noqa: BLE001 - a bug is logged, answered and recorded like a failure
            _log.exception("call %s failed", call.request_id)
            await self._refuse(call, SandgateError(), receive, send)
        finally:
            if not call.is_recorded:  # cancelled from outside
                self._ended(call, GatewayStoppedError())

    async def _serve(self, call: Call, receive: Receive, send: Send) -> None:
        """Resolve, verify, admit, borrow, forward, record."""
        reference = parse_reference(call.scope["raw_path"])
        if reference is None:
            raise ApiNotFoundError("No API has this id or name.")
        call.address(reference)
        destination = await self._resolver.find(reference.ref)
        request = read_request(call.scope["headers"])
        key = await self._verifier.verify(request.key)
        if (error := refusal(destination.route, key)) is not None:
            raise error
        target = await self._resolver.target(destination, reference.pin)
        if request.length is not None and request.length > self._body_bytes:
            raise BodyTooLargeError(self._body_bytes)
        grant = self._grants.of(key, destination.route)
        decision = await self._limiter.admit(grant.limits)
        call.own_headers = rate_headers(decision)
        if not decision.admitted:
            raise RateLimitedError(decision)
        loop_time = asyncio.get_running_loop().time()
        call.version = target.n
        call.admitted(grant, self._clock(), loop_time + self._call_seconds)
        await self._forward(call, target, request, receive, send)

    async def _forward(
        self, call: Call, target: Target, request: RequestHead, receive: Receive, send: Send
    ) -> None:
        """Pass the call on and the answer back; recorded before its last piece leaves."""
        caller = Caller(receive, request.length, self._body_bytes)
        try:
            if request.has_body:
                await self._first_piece(call, caller)
            try:
                head, last = await self._exchange(call, target, request, caller, send)
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
        self._ended(call, None)
        if not call.has_begun:
            await send(start_message(call, head.status, head.headers))
        await send(body_message(last, more=False))

    async def _exchange(
        self, call: Call, target: Target, request: RequestHead, caller: Caller, send: Send
    ) -> tuple[AnswerHead, bytes]:
        """One attempt on one connection: the answer's head and its last piece."""
        borrowed = loan_at_once(self._leases, target)
        if borrowed is None:
            borrowed = await loan(self._leases, target, call.deadline)
        try:
            outcome = await Exchange(call, request, caller, borrowed.connection, send).run()
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

    async def _refuse(self, call: Call, error: SandgateError, receive: Receive, send: Send) -> None:
        """Answer with a problem; when the answer had begun, leave it visibly broken."""
        status, headers, body = render(error, call.request_id)
        if not call.has_begun:
            call.response_bytes = len(body)
        self._ended(call, error)
        if call.has_begun or isinstance(error, ClientGoneError):
            return
        headers = [field for field in headers if field[0] != b"x-request-id"]
        is_large = isinstance(error, BodyTooLargeError)
        if is_large:
            headers.append((b"connection", b"close"))
        await send(start_message(call, status, headers))
        await send(body_message(body, more=is_large))
        if is_large:
            await _linger(receive)
            await send(body_message(b"", more=False))

    def _ended(self, call: Call, error: SandgateError | None) -> None:
        """Record the call once if it was admitted, and count it. Nothing in here waits."""
        if call.is_recorded:
            return
        call.is_recorded = True
        seconds = time.perf_counter() - call.started
        if error is not None:
            call.status = error.status
            call.error_code = error.code
        if call.grant is not None:
            self._recorder.record(
                call.grant,
                request_id=call.request_id,
                at=call.at,
                version=call.version,
                method=call.method,
                path=call.path.decode("latin-1"),
                status_code=call.status,
                error_code=call.error_code,
                seconds=seconds,
                request_bytes=call.request_bytes,
                response_bytes=call.response_bytes,
            )
        self._observe(call.status, call.error_code, seconds)


async def _linger(receive: Receive) -> None:
    """Take what the caller is still sending: closing at once would destroy its answer."""
    caller = Caller(receive, None, 0)
    try:
        async with asyncio.timeout(LINGER_SECONDS):
            await caller.swallow(LINGER_BYTES)
    except (TimeoutError, ClientGoneError):
        return
