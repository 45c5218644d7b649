"""Passes admitted calls on: to a sandbox, once more where that is safe, and the answer back."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from starlette.types import Receive, Send

from gateway.errors import SandgateError
from gateway.proxy.body import Caller
from gateway.proxy.breaker import Breaker, is_failure
from gateway.proxy.call import Call
from gateway.proxy.closing import Closing
from gateway.proxy.errors import (
    ApiDiedError,
    ApiTimeoutError,
    MeteringUnavailableError,
    StreamEndedError,
    UnreadError,
    UploadTooSlowError,
    VersionRevertedError,
)
from gateway.proxy.forward import Exchange, app_headers, body_message, start_message
from gateway.proxy.head import AnswerHead
from gateway.proxy.headers import RequestHead
from gateway.proxy.leases import Leases
from gateway.proxy.loan import Loan, UnderWay, loan_at_once, loan_while_there
from gateway.proxy.resolve import Resolver, Target
from gateway.proxy.streams import DRAINED, RETIRED, Reason, Streams
from gateway.proxy.validation import MOST_BODY, Validators
from gateway.proxy.websocket import Opening, WebSockets

T = TypeVar("T")

STREAM_SECONDS = 0.25  # after its head; what ends sooner is let be

_GOES_ON = (RETIRED.code, DRAINED.code)  # an answer that has begun may end by itself then


class Forwarding:
    """One for all calls."""

    def __init__(
        self,
        resolver: Resolver,
        leases: Leases,
        streams: Streams,
        websockets: WebSockets,
        breaker: Breaker,
        closing: Closing,
        validators: Validators | None,
        *,
        body_bytes: int,
    ) -> None:
        self._resolver = resolver
        self._leases = leases
        self._streams = streams
        self._websockets = websockets
        self._breaker = breaker
        self._closing = closing
        self._validators = validators
        self._body_bytes = body_bytes
        self.streaming: set[_Streamed] = set()  # answers that go on now

    async def forward(
        self,
        call: Call,
        target: Target,
        request: RequestHead,
        receive: Receive,
        send: Send,
        under_way: UnderWay | None = None,
    ) -> None:
        """The app's answer; recorded before its last piece leaves.

        `under_way`: the call has been handed over on this loan already, body and all.
        """
        caller = Caller(receive, request.length, self._body_bytes)
        try:
            if under_way is not None:
                caller.has_all(under_way.body)
            elif call.settings.validate:
                await self._validated(call, target, caller)
            elif request.has_body:
                await _in_time(caller.open(call.deadline))

            async def attempt(to: Target, going: UnderWay | None) -> tuple[AnswerHead, bytes]:
                return await self._exchange(call, to, request, caller, send, going)

            head, last = await self._watched(call, target, attempt, under_way)
        finally:
            call.request_bytes = caller.size
        call.response_bytes += len(last)
        call.status = head.status
        if not self._closing.end(call, None):
            raise MeteringUnavailableError
        if call.filling is not None:
            call.filling.add(last)
            call.filling.finish()
        if not call.has_begun:
            await send(start_message(call, head.status, app_headers(call, head)))
        await send(body_message(last, more=False))

    async def open(self, opening: Opening, target: Target) -> None:
        """A WebSocket; recorded when both sides have agreed."""

        async def attempt(to: Target, _going: UnderWay | None) -> None:
            await self._websockets.serve(opening, to)

        await self._watched(opening.call, target, attempt, None)

    async def _watched(
        self,
        call: Call,
        target: Target,
        attempt: Callable[[Target, UnderWay | None], Awaitable[T]],
        under_way: UnderWay | None,
    ) -> T:
        """With the version that was picked; where that cannot run, with the one that serves now."""
        try:
            return await self._spared(call, target, attempt, under_way)
        except VersionRevertedError as error:
            now = await self._moved(call, target, error)
        try:
            return await self._spared(call, now, attempt, None)
        except VersionRevertedError as reverted:  # once is enough
            raise reverted.cause from reverted

    async def _spared(
        self,
        call: Call,
        target: Target,
        attempt: Callable[[Target, UnderWay | None], Awaitable[T]],
        under_way: UnderWay | None,
    ) -> T:
        """Spare a version that fails; once more where the app has seen nothing of the call."""
        version = target.spec.version_id
        probe = 0 if under_way else self._breaker.admit(version)
        is_told = False
        try:
            try:
                outcome = await attempt(target, under_way)
            except UnreadError:
                outcome = await attempt(target, None)
            self._breaker.succeeded(version)
            is_told = True
            return outcome
        except (SandgateError, VersionRevertedError) as error:
            if is_failure(error.cause if isinstance(error, VersionRevertedError) else error):
                self._breaker.failed(version, probe, call.admitted_at)
                is_told = True
            raise
        finally:
            if not is_told:
                self._breaker.abandoned(version, probe)

    async def _exchange(
        self,
        call: Call,
        target: Target,
        request: RequestHead,
        caller: Caller,
        send: Send,
        under_way: UnderWay | None,
    ) -> tuple[AnswerHead, bytes]:
        """One attempt on one connection: the answer's head and its last piece."""
        borrowed = under_way.loan if under_way else loan_at_once(self._leases, target)
        if borrowed is None:
            borrowed = await loan_while_there(self._leases, target, call)
        stream = _Streamed(self.streaming, self._streams, call, request, target, borrowed)
        try:
            if under_way is None:
                await self._streams.look_again(call.admitted_at, request.key, target, call.made)
            exchange = Exchange(call, request, caller, borrowed.connection, send, stream.on_head)
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
            stream.end()
            borrowed.give_back()

    async def _moved(self, call: Call, target: Target, error: VersionRevertedError) -> Target:
        """The version that serves now, in place of one that cannot run."""
        if target.is_pinned:
            raise error.cause from error
        now = await self._resolver.target(await self._resolver.find(call.ref), None)
        if now.spec.version_id == target.spec.version_id:
            raise error.cause from error
        call.version = now.n
        call.keep = None  # memory would take its answer for the other version's
        return now

    async def _validated(self, call: Call, target: Target, caller: Caller) -> None:
        """Hold the body until it is known to fit the API's description."""
        body = await _in_time(caller.gather(MOST_BODY, call.deadline))
        if self._validators is None:
            return
        fields = call.asked.head.fields
        version = target.spec.version_id
        error = await self._validators.check(
            version, call.method, call.path, call.query, fields, body
        )
        if error is not None:
            raise error


class _Streamed:
    """An answer that goes on after its head: it ends when its key is taken back."""

    def __init__(
        self,
        streaming: "set[_Streamed]",
        streams: Streams,
        call: Call,
        request: RequestHead,
        target: Target,
        borrowed: Loan,
    ) -> None:
        self._streaming = streaming
        self._streams = streams
        self._call = call
        self._request = request
        self._target = target
        self._connection = borrowed.connection
        self._token: int | None = None
        self._timer: asyncio.TimerHandle | None = None

    def on_head(self, head: AnswerHead) -> None:
        """The head is there."""
        call = self._call
        if call.keep is not None:
            call.filling = call.keep(head)
        if not self._connection.complete:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(STREAM_SECONDS, self._attend)

    def _attend(self) -> None:
        """It is no short answer in two pieces: from now on it needs a key that is good."""
        self._streaming.add(self)
        key = self._call.key
        if key is not None:
            self._token = self._streams.add(
                self._request.key, key, self._target, self._close, self._call.made
            )

    def end(self) -> None:
        """It is over."""
        if self._timer is not None:
            self._timer.cancel()
        self._streaming.discard(self)
        if self._token is not None:
            self._streams.remove(self._token)

    def _close(self, reason: Reason) -> None:
        if reason.code not in _GOES_ON:
            self._connection.fail(StreamEndedError(reason.text))


async def _in_time(reading: Awaitable[T]) -> T:
    """Of the caller's body."""
    try:
        return await reading
    except TimeoutError as error:
        raise UploadTooSlowError(
            "The body did not arrive within the time that a call has."
        ) from error
