"""From a host that is allowed to a connection with one of its addresses, all of them checked."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable

from sandbox.egress import addresses
from sandbox.egress.addresses import Address
from sandbox.egress.hosts import Host
from sandbox.egress.limits import Limits, Quota
from sandbox.egress.own import OwnAddresses
from sandbox.egress.refusals import Code, RefusedError
from sandbox.egress.resolve import Check, Resolver
from sandbox.egress.streams import PlainStream

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Dial = Callable[[Address, int], Awaitable[Streams]]

_MOST_TRIES = 6


async def dial(address: Address, port: int) -> Streams:
    """Connect to just this address."""
    return await asyncio.open_connection(str(address), port)


def public_only() -> Check:
    """Refuses special-use addresses and the ones of this machine."""
    own = OwnAddresses()

    def check(address: Address) -> str | None:
        return addresses.refusal(address) or ("this machine" if address in own else None)

    return check


def anything(_: Address) -> str | None:
    """For the operator's own hosts."""
    return None


def client_tls() -> ssl.SSLContext:
    """Full verification against the system's authorities; HTTP/1.1 only."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context


class Dialler:
    """Resolves, checks, connects to what was checked. `check` and `dial` are there for tests."""

    def __init__(
        self,
        resolver: Resolver,
        limits: Limits,
        *,
        check: Check | None = None,
        dial: Dial = dial,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._resolver = resolver
        self._limits = limits
        self._check = check or public_only()
        self._dial = dial
        self._tls = tls or client_tls()
        self._resolutions = Quota("names being resolved", limits.resolutions)

    async def connect(
        self, api_id: str, host: Host, port: int, *, is_trusted: bool = False
    ) -> PlainStream:
        """A connection for this API; RefusedError when there is none to be had."""
        check = anything if is_trusted else self._check
        with self._resolutions.one((api_id, self._limits.api_resolutions)):
            found = await self._resolver.addresses(host, check)
        tries = found[:_MOST_TRIES]
        why = RefusedError(Code.UNREACHABLE, f"{host} does not accept connections to port {port}")
        for address in tries:
            try:
                async with asyncio.timeout(self._limits.dial_seconds / len(tries)):
                    return PlainStream(*await self._dial(address, port))
            except TimeoutError:
                why = RefusedError(Code.TIMEOUT, f"{host} does not answer on port {port}")
            except OSError:
                continue
        raise why

    async def secure(self, stream: PlainStream, host: Host) -> None:
        """Make the connection TLS with a certificate of this host that is valid."""
        try:
            async with asyncio.timeout(self._limits.dial_seconds):
                await stream.start_tls(self._tls, host.name)
        except TimeoutError:
            raise RefusedError(Code.TIMEOUT, f"{host} does not agree on TLS") from None
        except ssl.SSLCertVerificationError as error:
            detail = f"the certificate of {host} is not valid: {error.verify_message}"
            raise RefusedError(Code.UNREACHABLE, detail) from error
        except OSError as error:
            raise RefusedError(Code.UNREACHABLE, f"{host} does not speak TLS") from error
