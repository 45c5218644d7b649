"""From a host to addresses that were all looked at. Only name servers are asked, no files."""

import asyncio
from collections.abc import Callable, Sequence
from ipaddress import ip_address
from typing import Literal

import dns.asyncresolver
import dns.exception
import dns.name
import dns.nameserver
import dns.rdatatype
import dns.resolver

from sandbox.egress.addresses import Address
from sandbox.egress.hosts import Host, split
from sandbox.egress.refusals import Code, RefusedError

Check = Callable[[Address], str | None]
_LONGEST_CHAIN = 8
_DNS_PORT = 53


def nameservers(texts: Sequence[str]) -> list[dns.nameserver.Nameserver]:
    """Name servers written as address, `address:port` or `[v6]:port`; none: the host's own.

    Raises BadHostError or ValueError for anything else.
    """
    return [_nameserver(text) for text in texts] if texts else _of_this_host()


def _of_this_host() -> list[dns.nameserver.Nameserver]:
    """As resolv.conf has them; a host without any simply finds no other host."""
    try:
        own = dns.resolver.Resolver()
    except dns.resolver.NoResolverConfiguration:
        return []
    return [dns.nameserver.Do53Nameserver(str(one), own.port) for one in own.nameservers]


def _nameserver(text: str) -> dns.nameserver.Nameserver:
    try:
        return dns.nameserver.Do53Nameserver(str(ip_address(text)), _DNS_PORT)
    except ValueError:
        host, port = split(text, _DNS_PORT)
        if host.address is None:
            raise
        return dns.nameserver.Do53Nameserver(str(host.address), port)


class Resolver:
    """Asks the name servers anew for each connection and keeps nothing."""

    def __init__(self, servers: Sequence[dns.nameserver.Nameserver], seconds: float) -> None:
        self._resolver = dns.asyncresolver.Resolver(configure=False)
        self._resolver.nameservers = list(servers)
        self._seconds = seconds

    async def addresses(self, host: Host, check: Check) -> list[Address]:
        """All addresses of the host; one that may not be reached refuses them all."""
        found = [host.address] if host.address else await self._ask(host.name)
        for address in found:
            if why := check(address):
                raise RefusedError(Code.ADDRESS, f"{host} is {address} ({why})")
        return found

    async def _ask(self, name: str) -> list[Address]:
        answers = await asyncio.gather(self._one(name, "A"), self._one(name, "AAAA"))
        found = [address for answer in answers if isinstance(answer, list) for address in answer]
        if found:
            return found
        raise next(answer for answer in answers if isinstance(answer, RefusedError))

    async def _one(self, name: str, kind: Literal["A", "AAAA"]) -> list[Address] | RefusedError:
        """Addresses of one family, or why there are none: the other family may do."""
        try:
            answer = await self._resolver.resolve(
                dns.name.from_text(name + "."), kind, search=False, lifetime=self._seconds
            )
        except dns.exception.Timeout:
            return RefusedError(Code.TIMEOUT, f"no name server answered about {name}")
        except dns.resolver.NXDOMAIN:
            return RefusedError(Code.UNREACHABLE, f"there is no host {name}")
        except dns.resolver.NoAnswer:
            return RefusedError(Code.UNREACHABLE, f"{name} has no address")
        except (dns.exception.DNSException, OSError):
            return RefusedError(Code.UNREACHABLE, f"the name servers cannot tell where {name} is")
        if len(answer.chaining_result.cnames) > _LONGEST_CHAIN:
            return RefusedError(Code.UNREACHABLE, f"{name} is an alias of too many others")
        return [ip_address(record.to_text()) for record in answer]
