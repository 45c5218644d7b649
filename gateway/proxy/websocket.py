"""Opens WebSockets: the app is asked like for any call, and what follows is a tunnel."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import structlog

from gateway.auth.verified import VerifiedKey
from gateway.errors import ForbiddenError, SandgateError
from gateway.limits.types import Decision, Limiter
from gateway.metering.recorder import Grant
from gateway.proxy.call import Call
from gateway.proxy.connection import Connection
from gateway.proxy.errors import (
    ApiBadResponseError,
    ApiDiedError,
    ApiTimeoutError,
    ClientGoneError,
    MeteringUnavailableError,
    UnreadError,
)
from gateway.proxy.forward import app_headers, head_bytes
from gateway.proxy.handshake import Agreement, Handshake, agree
from gateway.proxy.head import AnswerHead
from gateway.proxy.headers import Field, RequestHead
from gateway.proxy.leases import Leases
from gateway.proxy.loan import Loan, loan_at_once, loan_while_there
from gateway.proxy.mapping import mapped
from gateway.proxy.resolve import Target
from gateway.proxy.streams import Streams
from gateway.proxy.tunnel import LINGER_SECONDS, Tunnel
from gateway.server.upgrade import Upgrade
from gateway.store.call_settings import WebSocketSettings

_log = structlog.get_logger(__name__)

REFUSAL_BYTES = 1024 * 1024  # of an app's answer that is no upgrade

_LOOK_SECONDS = 0.02
_DRAIN_SECONDS = LINGER_SECONDS + 1.0
_ASKING = b"connection: Upgrade\r\nupgrade: websocket\r\n"
_SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\n"

End = Callable[[Call, SandgateError | None], bool]


class WebSocketOffError(ForbiddenError):
    """The API's settings say that it takes none."""

    code, title = "websocket_off", "This API takes no WebSockets"


@dataclass(frozen=True, slots=True)
class Opening:
    """An admitted call that asks for a WebSocket."""

    call: Call
    request: RequestHead
    handshake: Handshake
    upgrade: Upgrade
    grant: Grant
    key: VerifiedKey
    settings: WebSocketSettings


class WebSockets:
    """Serves them. `end` records a call and says whether it may be answered."""

    def __init__(self, leases: Leases, limiter: Limiter, streams: Streams, end: End) -> None:
        self._leases = leases
        self._limiter = limiter
        self._streams = streams
        self._end = end
        self._tunnels: set[Tunnel] = set()

    def __len__(self) -> int:
        """How many are open."""
        return len(self._tunnels)

    async def serve(self, opening: Opening, target: Target) -> None:
        """Until both sides have agreed, or the caller has the app's refusal.

        Raises why there is no answer of the app; then the caller has none at all yet, and
        after UnreadError or VersionRevertedError another target may be tried.
        """
        call = opening.call
        borrowed = loan_at_once(self._leases, target)
        if borrowed is None:
            borrowed = await loan_while_there(self._leases, target, call)
        is_open = False
        try:
            await self._streams.look_again(call.admitted_at, opening.request.key, target, call.made)
            head = await _ask(opening, borrowed.connection)
            if borrowed.fresh is not None:
                borrowed.answered(time.perf_counter())
            if head.status == 101:
                self._open(opening, target, borrowed, agree(opening.handshake, head.headers))
                is_open = True
            else:
                self._refuse(opening, head, await _body(call, borrowed.connection))
        except ApiTimeoutError:
            borrowed.overdue()
            raise
        except ApiDiedError as error:
            if not isinstance(error, UnreadError):
                error.detail = await borrowed.why_it_died() or error.detail
            raise
        finally:
            if not is_open:
                borrowed.give_back()

    async def drain(self) -> None:
        """Close everything that goes on, and wait until it is gone; it is cut if need be."""
        self._streams.drain()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_DRAIN_SECONDS):
                while self._tunnels:  # noqa: ASYNC110 - the end; nobody else wants to know
                    await asyncio.sleep(_LOOK_SECONDS)

    def _open(self, opening: Opening, target: Target, borrowed: Loan, agreed: Agreement) -> None:
        """Recorded before the 101 leaves: an answered call, whatever becomes of it."""
        app, early = borrowed.connection.detach()
        if app.is_closing():
            raise ApiDiedError("It ended the connection before its answer was complete.")
        call = opening.call
        call.status = 101
        if not self._end(call, None):
            app.abort()
            raise MeteringUnavailableError
        _begun(call)
        token, names, begun_at = 0, call.log_context(), call.begun_at

        def on_end(ended: Tunnel) -> None:
            self._tunnels.discard(ended)
            self._streams.remove(token)
            borrowed.give_back()
            _log_end(names, time.perf_counter() - begun_at, ended)

        tunnel = Tunnel(
            opening.settings,
            hello=_hello(call, agreed),
            is_compressed=agreed.is_compressed,
            decide=self._decider(opening.grant),
            on_end=on_end,
        )
        self._tunnels.add(tunnel)
        app.set_protocol(tunnel.app)
        tunnel.app.connection_made(app)
        opening.upgrade.take_over(tunnel.caller)
        presented = opening.request.key
        token = self._streams.add(presented, opening.key, target, tunnel.close, call.made)
        if early:
            tunnel.app.data_received(early)
        tunnel.app.go_on()

    def _decider(self, grant: Grant) -> Callable[[], "Decision | asyncio.Future[Decision]"]:
        """Each message is one more call in every window, without a price."""
        limiter = self._limiter
        return lambda: limiter.decide(grant.limits)

    def _refuse(self, opening: Opening, head: AnswerHead, body: bytes) -> None:
        """The app's own answer, whole."""
        call = opening.call
        call.status = head.status
        call.response_bytes = len(body)
        if not self._end(call, None):
            raise MeteringUnavailableError
        _begun(call)
        opening.upgrade.refuse(head.status, [*app_headers(call, head), *_own_headers(call)], body)


def check_enabled(handshake: Handshake | None, settings: WebSocketSettings) -> None:
    """WebSocketOffError when one is asked for and the API takes none."""
    if handshake is not None and not settings.enabled:
        raise WebSocketOffError("Its owner has turned them off.")


async def _ask(opening: Opening, connection: Connection) -> AnswerHead:
    """Send the handshake like a call; the head of what is answered."""
    call, loop = opening.call, asyncio.get_running_loop()
    seconds = call.deadline - loop.time()
    request = opening.request._replace(lines=_ASKING + opening.request.lines)
    connection.begin(is_head=False, is_upgrade=True)
    connection.send(head_bytes(call, request, seconds))
    connection.sent()
    call.handed_at = time.perf_counter()
    with _watched(call, connection):
        while connection.head is None:
            await _news(call, connection)
        return connection.head


@contextlib.contextmanager
def _watched(call: Call, connection: Connection) -> Iterator[None]:
    """A caller that leaves before there is a whole answer ends its call in the sandbox."""
    is_over = False

    def left() -> None:
        if not is_over:
            connection.fail(ClientGoneError())

    call.asked.when_gone(left)
    try:
        yield
    finally:
        is_over = True


async def _body(call: Call, connection: Connection) -> bytes:
    """All of a refusal."""
    body = b""
    with _watched(call, connection):
        while True:
            is_whole = connection.complete
            body += connection.take()
            if len(body) > REFUSAL_BYTES:
                raise ApiBadResponseError("Its refusal of a WebSocket is too large.")
            if is_whole:
                return body
            if not connection.has_news:
                await _news(call, connection)


async def _news(call: Call, connection: Connection) -> None:
    late = ApiTimeoutError("It did not answer within the time that a call has.")
    timer = asyncio.get_running_loop().call_at(call.deadline, connection.fail, late)
    try:
        await connection.news()
    finally:
        timer.cancel()


def _begun(call: Call) -> None:
    call.has_begun = True
    call.begun_at = time.perf_counter()


def _own_headers(call: Call) -> list[Field]:
    """What only the gateway may set."""
    return [*call.own_headers, *call.stamp.fields(call)]


def _log_end(names: Mapping[str, str], seconds: float, tunnel: Tunnel) -> None:
    """The record was written when it began; this is what came of it."""
    _log.info(
        "websocket_ended",
        **names,
        seconds=round(seconds, 1),
        bytes_from_caller=tunnel.caller.received,
        bytes_from_api=tunnel.app.received,
        reason=tunnel.reason
        or f"{tunnel.caller.reader.closed or tunnel.app.reader.closed or 'left'}",
    )


def _hello(call: Call, agreed: Agreement) -> bytes:
    headers = mapped(agreed.headers, call.root, call.asked.head.host)
    fields = [*headers, *_own_headers(call)]
    return _SWITCHING + b"".join([b"%b: %b\r\n" % field for field in fields]) + b"\r\n"
