"""One connection of a sandbox to the door, from its first byte to its last."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import h11
import structlog

from sandbox.egress import messages
from sandbox.egress.authority import Authority
from sandbox.egress.dialling import Dialler
from sandbox.egress.exchange import ClientSide, Exchange
from sandbox.egress.flow import Flow
from sandbox.egress.hello import ClientHello, NotTlsError, read_hello
from sandbox.egress.hosts import Host
from sandbox.egress.limits import Limits
from sandbox.egress.refusals import Code, RefusedError
from sandbox.egress.rules import Rules, Verdict
from sandbox.egress.streams import PlainStream, TlsStream

_log = structlog.get_logger(__name__)

_LINGER_SECONDS = 1.0
_HELLO_READS = 256  # each looks at all of it again, so one byte at a time would cost too much
_ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"
_WRONG_NAME = b"\x15\x03\x03\x00\x02\x02\x70"  # TLS alert: fatal, unrecognised name
_CODES = {Verdict.HOST: Code.HOST, Verdict.PORT: Code.PORT, Verdict.LOCAL: Code.ADDRESS}


@dataclass(frozen=True, slots=True)
class Caller:
    """Whose connection it is. `rules` are the ones of now."""

    api_id: str
    sandbox_id: str
    rules: Callable[[], Rules]
    say: Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Means:
    """What all connections of one door share."""

    limits: Limits
    dialler: Dialler
    authority: Authority


class Session:
    """One client connection: one tunnel or one request."""

    def __init__(self, means: Means, caller: Caller, stream: PlainStream) -> None:
        self._means = means
        self._limits = means.limits
        self._caller = caller
        self._stream = stream
        # who can be given an answer in HTTP now; nobody in the middle of a tunnel
        self._client: ClientSide | None = ClientSide(stream, means.limits.head_bytes)
        self._upstream: PlainStream | None = None
        self._flow = Flow(means.limits.connection_bytes, means.limits.idle_seconds)
        self._target: tuple[Host, int] | None = None
        self._verdict = "closed"  # by a new policy or with its sandbox, unless it ends otherwise

    def is_allowed_by(self, rules: Rules) -> bool:
        """Whether it may go on; one that has not said where to is asked when it does."""
        return self._target is None or rules.decide(*self._target) not in _CODES

    async def run(self) -> None:
        """Until it is over; every end is logged, refusals are told to the API's owner."""
        began = time.monotonic()
        try:
            await self._run()
        finally:
            self._stream.abort()
            if self._upstream is not None:
                self._upstream.abort()
            self._record(time.monotonic() - began)

    async def _run(self) -> None:
        try:
            async with asyncio.timeout(self._limits.connection_seconds):
                await self._serve()
                self._verdict = "allowed"
                await self._close()
        except TimeoutError:
            detail = f"over after {self._limits.connection_seconds:g} seconds"
            await self._refuse(RefusedError(Code.TIMEOUT, detail))
        except RefusedError as error:
            await self._refuse(error)
        except OSError:
            self._verdict = "lost"

    async def _close(self) -> None:
        """Let what is still in our buffers arrive."""
        closing = [self._stream.close(self._limits.idle_seconds, _LINGER_SECONDS)]
        if self._upstream is not None:
            closing.append(self._upstream.close(self._limits.idle_seconds, 0))
        await asyncio.gather(*closing)

    async def _refuse(self, error: RefusedError) -> None:
        """Say why, where that is still possible."""
        self._verdict = error.code.value
        self._caller.say(f"outgoing connection to {self._where()} refused: {error} ({error.code})")
        if self._client is not None and not self._client.has_answered:
            try:
                async with asyncio.timeout(self._limits.head_seconds):
                    await self._client.stream.write(error.answer())
                    await self._client.stream.end()
                    await self._stream.close(_LINGER_SECONDS, _LINGER_SECONDS)
            except (OSError, TimeoutError):
                pass  # it did not want to know

    def _where(self) -> str:
        return "?" if self._target is None else f"{self._target[0]}:{self._target[1]}"

    def _record(self, seconds: float) -> None:
        host, port = self._target or (None, None)
        _log.info(
            "egress",
            api_id=self._caller.api_id,
            sandbox_id=self._caller.sandbox_id,
            host=None if host is None else host.name,
            port=port,
            verdict=self._verdict,
            sent=self._flow.sent,
            received=self._flow.received,
            seconds=round(seconds, 3),
        )

    # --- what it wants

    async def _serve(self) -> None:
        assert self._client is not None
        async with self._soon("the head of the request"):
            request = await self._client.request()
        if request.method == b"CONNECT":
            await self._connect(request, self._client.early)
        else:
            await self._plain(self._client, request)

    @asynccontextmanager
    async def _soon(self, what: str) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._limits.head_seconds):
                yield
        except TimeoutError:
            raise RefusedError(Code.TIMEOUT, f"{what} did not come") from None

    async def _reach(self, host: Host, port: int) -> PlainStream:
        """Decide, and only then ask anybody where the host is."""
        self._target = host, port
        verdict = self._caller.rules().decide(host, port)
        if verdict in _CODES:
            raise RefusedError(_CODES[verdict], f"{host}:{port}")
        is_trusted = verdict is Verdict.TRUSTED
        self._upstream = await self._means.dialler.connect(
            self._caller.api_id, host, port, is_trusted=is_trusted
        )
        return self._upstream

    def _swaps(self, host: Host, port: int) -> Mapping[bytes, bytes]:
        return self._caller.rules().swaps_for(host, port)

    async def _plain(self, client: ClientSide, request: h11.Request) -> None:
        target = messages.plain_target(request)
        out = messages.outgoing(request, target, self._swaps(target.host, target.port))
        upstream = await self._reach(target.host, target.port)
        await Exchange(client, upstream, self._flow).run(out)

    # --- tunnels

    async def _connect(self, request: h11.Request, early: bytes) -> None:
        host, port = messages.connect_target(request)
        upstream = await self._reach(host, port)
        swaps = self._swaps(host, port)
        if swaps:
            await self._means.dialler.secure(upstream, host)
        self._client = None
        await self._stream.write(_ESTABLISHED)
        first = await self._hello(host, early)
        if swaps:
            await self._inside(host, port, first, swaps)
        else:
            await upstream.write(self._flow.send(first))
            await self._flow.tunnel(self._stream, upstream)

    async def _hello(self, host: Host, data: bytes) -> bytes:
        """All bytes up to a first TLS message for this host, before any goes on."""
        try:
            async with self._soon("the first bytes of TLS"):
                data, hello = await self._read_hello(data)
            _same_name(hello, host)
        except NotTlsError as error:
            await self._stream.write(_WRONG_NAME)
            await self._stream.close(_LINGER_SECONDS, _LINGER_SECONDS)
            raise RefusedError(Code.TLS, str(error)) from error
        return data

    async def _read_hello(self, data: bytes) -> tuple[bytes, ClientHello]:
        for _ in range(_HELLO_READS):
            if (hello := read_hello(data)) is not None:
                return data, hello
            more = await self._stream.read()
            if not more:
                break
            data += more
        raise NotTlsError("the first message is cut short")

    async def _inside(
        self, host: Host, port: int, first: bytes, swaps: Mapping[bytes, bytes]
    ) -> None:
        """Be the host for one request, and put the secrets in."""
        assert self._upstream is not None
        tls = TlsStream(self._stream, self._means.authority.context(host), first)
        async with self._soon("the end of the TLS handshake"):
            await tls.handshake()
            client = self._client = ClientSide(tls, self._limits.head_bytes)
            request = await client.request()
        target = messages.inner_target(request, host, port)
        out = messages.outgoing(request, target, swaps)
        await Exchange(client, self._upstream, self._flow).run(out)
        await tls.end()


def _same_name(hello: ClientHello, host: Host) -> None:
    """An address has no name to give; a host has to give its own."""
    name = hello.server_name.lower().removesuffix(".")
    if name != host.name and not (host.address is not None and not name):
        raise NotTlsError(f"it names {name[:253]}" if name else "it names no host")
