"""The data plane: every call of every API. Reads as a sentence: see `_serve`."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

import structlog
from starlette.types import Receive, Scope, Send

from gateway.auth.verified import VerifiedKey
from gateway.errors import SandgateError
from gateway.limits.types import Charge, Limiter
from gateway.metering.recorder import Grant, Recorder
from gateway.metrics import CallPathNow
from gateway.problems import render
from gateway.proxy import cors
from gateway.proxy.breaker import Breaker
from gateway.proxy.call import Call
from gateway.proxy.closing import Closing, Observe, observe_nothing
from gateway.proxy.documents import Documents
from gateway.proxy.errors import (
    ApiNotFoundError,
    BodyTooLargeError,
    ClientGoneError,
    GatewayStoppedError,
    MeteringUnavailableError,
)
from gateway.proxy.forward import body_message, start_message
from gateway.proxy.forwarding import Forwarding
from gateway.proxy.handshake import Handshake, read_handshake
from gateway.proxy.headers import Field, RequestHead, read_request
from gateway.proxy.identifiers import RequestIds
from gateway.proxy.leases import Leases
from gateway.proxy.loan import UnderWay
from gateway.proxy.origins import slug_of
from gateway.proxy.permit import Grants, outside, refusal
from gateway.proxy.reference import Reference, parse_reference
from gateway.proxy.refusing import limit_headers, refused
from gateway.proxy.remembering import Remembering
from gateway.proxy.resolve import Destination, Resolver, Target
from gateway.proxy.stamp import Stamp
from gateway.proxy.streams import Streams
from gateway.proxy.validation import Validators
from gateway.proxy.warm import Warm
from gateway.proxy.websocket import Opening, WebSockets, check_enabled
from gateway.server.connection import Request
from gateway.store.routes import Route

_log = structlog.get_logger(__name__)

Answer = tuple[int, list[Field], bytes]


class Verifier(Protocol):
    """Says who presented a key."""

    async def verify(self, presented: str) -> VerifiedKey:
        """The key's facts; raises why it is refused. Empty text: nothing was presented."""
        ...

    def digest(self, presented: str) -> bytes | None:
        """What stands for a key in memory; None for what can be none."""
        ...

    def at_hand(self, digest: bytes) -> VerifiedKey | None:
        """The key's facts when they are known and good; the warm path."""
        ...


LoadCredit = Callable[[str], Awaitable[tuple[int, int]]]


async def _no_credit(_account: str) -> tuple[int, int]:
    """Nobody has any."""
    return 0, 0


class Endpoint:
    """Answers `/{api}[@version][/path]`, and every path of an API's own origin."""

    def __init__(
        self,
        *,
        resolver: Resolver,
        verifier: Verifier,
        limiter: Limiter,
        leases: Leases,
        recorder: Recorder,
        streams: Streams,
        documents: Documents | None = None,
        validators: Validators | None = None,
        call_seconds: float = 30.0,
        body_bytes: int = 10 * 1024 * 1024,
        base_domain: str | None = None,
        observe: Observe = observe_nothing,
        load_credit: LoadCredit = _no_credit,
        generation: Callable[[], int] = lambda: 0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._resolver = resolver
        self._verifier = verifier
        self._limiter = limiter
        self._recorder = recorder
        self._documents = documents
        self._call_seconds = call_seconds
        self._body_bytes = body_bytes
        self._base_domain = base_domain
        self._load_credit = load_credit
        self._clock = clock
        self._grants = Grants()
        self._new_id = RequestIds()
        self._stamp = Stamp(generation)
        self._closing = Closing(recorder, limiter, observe)
        self._memory = Remembering(time.monotonic)
        self._leases = leases
        self._breaker = breaker = Breaker(time.perf_counter)  # as calls note their admission
        self._websockets = WebSockets(leases, limiter, streams, self._closing.end)
        self._forwarding = Forwarding(
            resolver, leases, streams, self._websockets, breaker, self._closing,
            validators, body_bytes=body_bytes,
        )  # fmt: skip
        self._warm = Warm(
            self, resolver, verifier, limiter, leases, recorder, self._grants, self._closing,
            breaker, call_seconds=call_seconds, body_bytes=body_bytes, clock=clock,
        )  # fmt: skip
        leases.starts.follow(self.now)

    def now(self) -> CallPathNow:
        """For the metrics."""
        cache = self._memory.cache
        return CallPathNow(
            waiting=self._leases.waiting,
            websockets=len(self._websockets),
            streams=len(self._forwarding.streaming),
            breakers=self._breaker.open,
            cache_hits=cache.hits,
            cache_misses=cache.misses,
            cache_stored=cache.stored,
        )

    def at_once(self, request: Request) -> bool:
        """Answer a call for which everything is at hand without a task; False: it is not."""
        return self._warm.at_once(request)

    def is_own_origin(self, request: Request) -> bool:
        """Whether its Host is, or would be, an API's own origin: no path of ours is there."""
        return slug_of(request.head.host, self._base_domain) is not None

    def reference(self, request: Request) -> Reference | None:
        """Which API it asks for, and for what there."""
        slug = slug_of(request.head.host, self._base_domain)
        if slug is None:
            return parse_reference(request.head.path)
        return Reference(slug, None, b"", request.head.path) if slug else None

    def new_call(self, request: Request) -> Call:
        """Its beginning."""
        return Call(request, self._new_id(), self._stamp)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One call, whatever it needs."""
        call = self.new_call(scope["sandgate.request"])
        await self.guarded(call, self._serve(call, receive, send), send)

    async def guarded(self, call: Call, work: Awaitable[None], send: Send) -> None:
        """Every expected failure becomes a problem document, and every call ends once."""
        try:
            await work
        except SandgateError as error:
            await self._refuse(call, error, send)
        except Exception:  # noqa: BLE001 - a bug is logged, answered and recorded like a failure
            _log.exception("call_failed", **call.log_context())
            await self._refuse(call, SandgateError(), send)
        finally:
            if not call.is_recorded:  # cancelled from outside
                self._closing.end(call, GatewayStoppedError())

    async def _serve(self, call: Call, receive: Receive, send: Send) -> None:
        """Resolve, verify, admit, then answer."""
        destination = await self._find(call)
        if (answer := self._preflight(call)) is not None:
            await self._send(call, answer, send)
            return
        request, handshake = _asked(call)
        target, document = await self._documented(call, destination, request)
        if document is not None and _is_public(destination.route):
            await self._send(call, document, send)
            return
        key = call.key = await self._verified(destination, request, handshake)
        if request.length is not None and request.length > self._body_bytes:
            raise BodyTooLargeError(self._body_bytes)
        grant = self._grants.of(key, destination.route)
        if (narrowed := outside(key, call.made)) is not None:
            raise narrowed
        target = target or await self._resolver.target(destination, None)
        charge = None if document is not None else self._charge(grant)
        await self._admit(call, grant, charge, target)
        if document is not None:
            await self._send(call, document, send)
        elif handshake is not None:
            await self._open(call, request, handshake, grant, key, target)
        else:
            await self._answer(call, request, target, receive, send)

    async def _find(self, call: Call) -> Destination:
        """The API that is meant; from now on its settings hold for every answer."""
        reference = self.reference(call.asked)
        if reference is None:
            raise ApiNotFoundError("No API has this id or name.")
        call.address(reference)
        destination = await self._resolver.find(reference.ref)
        call.settings = destination.route.settings
        return destination

    def _preflight(self, call: Call) -> Answer | None:
        """The answer to a browser's question before a call; it needs no key."""
        if call.settings.cors is None or call.method != "OPTIONS":
            return None
        found = cors.preflight(call.settings.cors, call.asked.head.fields)
        return None if found is None else (found.status, found.headers, b"")

    async def _verified(
        self, destination: Destination, request: RequestHead, handshake: Handshake | None
    ) -> VerifiedKey:
        """The key, when it may call this API now."""
        key = await self._verifier.verify(request.key)
        if (error := refusal(destination.route, key)) is not None:
            raise error
        check_enabled(handshake, destination.route.settings.websocket)
        return key

    async def _documented(
        self, call: Call, destination: Destination, request: RequestHead
    ) -> tuple[Target | None, Answer | None]:
        """The version that is asked for, where it is known before the key, and its document."""
        pin = call.pin
        is_document = self._documents is not None and Documents.concerns(
            call.settings, call.method, call.path
        )
        if pin is None and not is_document:
            return None, None
        if not is_document or not _is_public(destination.route):
            # whoever has no key for an API learns nothing about its versions
            await self._verified(destination, request, None)
        target = await self._resolver.target(destination, pin)
        if not is_document or self._documents is None:
            return target, None
        tags = [value for name, value in call.asked.head.fields if name == b"if-none-match"]
        answer = await self._documents.answer(
            target.spec.version_id,
            call.path,
            method=call.method,
            root=call.root,
            scheme=call.scheme,
            host=call.asked.head.host,
            if_none_match=tags[0] if tags else None,
            is_public=call.settings.documents == "public",
        )
        return target, answer

    def _charge(self, grant: Grant) -> Charge | None:
        """What the call costs; a call that costs something and cannot be recorded is not taken."""
        if not grant.price:
            return None
        if not self._recorder.healthy:
            raise MeteringUnavailableError
        return Charge(grant.caller_tenant_id, grant.price)

    async def _admit(self, call: Call, grant: Grant, charge: Charge | None, target: Target) -> None:
        """One decision over all limits and the price; from then on the call is recorded."""
        decision = await self._limiter.admit(grant.limits, charge)
        if charge is not None and decision.unknown_credit:
            granted, spent = await self._load_credit(charge.account)
            await self._limiter.set_credit(charge.account, granted, spent)
            decision = await self._limiter.admit(grant.limits, charge)
        call.own_headers = limit_headers(grant, decision)
        if not decision.admitted:
            raise refused(decision)
        call.version = target.n
        deadline = asyncio.get_running_loop().time() + self._call_seconds
        call.admitted(grant, charge, self._clock(), deadline)

    async def _open(
        self,
        call: Call,
        request: RequestHead,
        handshake: Handshake,
        grant: Grant,
        key: VerifiedKey,
        target: Target,
    ) -> None:
        """A WebSocket."""
        settings = call.settings.websocket
        opening = Opening(call, request, handshake, call.asked, grant, key, settings)
        await self._forwarding.open(opening, target)

    async def _answer(
        self, call: Call, request: RequestHead, target: Target, receive: Receive, send: Send
    ) -> None:
        """From memory, else by the app."""
        if call.settings.cache and (kept := self._memory.answer(call, target)) is not None:
            await self._send(call, kept, send)
        else:
            await self.forward(call, target, request, receive, send)

    async def forward(
        self,
        call: Call,
        target: Target,
        request: RequestHead,
        receive: Receive,
        send: Send,
        under_way: UnderWay | None = None,
    ) -> None:
        """The app's answer to an admitted call."""
        await self._forwarding.forward(call, target, request, receive, send, under_way)

    async def drain(self) -> None:
        """End what would go on for long; returns when it has ended."""
        await self._websockets.drain()

    async def _send(self, call: Call, answer: Answer, send: Send) -> None:
        """An answer that the gateway has by itself; recorded like an app's."""
        status, headers, body = answer
        call.status, call.response_bytes = status, len(body)
        if not self._closing.end(call, None):
            raise MeteringUnavailableError
        await send(start_message(call, status, headers))
        await send(body_message(body, more=False))

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


def _asked(call: Call) -> tuple[RequestHead, Handshake | None]:
    """What the headers say; with a handshake when they ask for a WebSocket."""
    head = call.asked.head
    if head.upgrade != b"websocket":
        return read_request(head.fields), None
    handshake = read_handshake(call.method, head.fields)
    request = read_request(handshake.headers)
    return request._replace(key=request.key or handshake.presented), handshake


def _is_public(route: Route) -> bool:
    """Whether its document is for everybody now."""
    is_there = route.status == "active" and route.tenant_status == "active"
    return is_there and route.settings.documents == "public"
