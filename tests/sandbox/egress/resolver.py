"""A name server on loopback, UDP and TCP, that plays every trick a hostile one can."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset


@dataclass
class Script:
    """What is answered about one name. `a` and `aaaa` are lists by turn; the last one stays."""

    a: Sequence[Sequence[str]] = ((),)
    aaaa: Sequence[Sequence[str]] = ((),)
    cname: str = ""
    slow: bool = False  # never answers
    garbage: bool = False
    refused: bool = False
    over_tcp: bool = False  # UDP only says: too long


@dataclass
class LocalResolver:
    """The running server. `asked` is every question in order."""

    address: str = ""
    scripts: dict[str, Script] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    tcp_questions: int = 0
    _turns: Counter[tuple[str, str]] = field(default_factory=Counter)

    def answer(self, wire: bytes, *, is_udp: bool) -> bytes | None:
        query = dns.message.from_wire(wire)
        question = query.question[0]
        name = question.name.to_text(omit_final_dot=True)
        kind = dns.rdatatype.to_text(question.rdtype)
        self.asked.append((name, kind))
        self.tcp_questions += not is_udp
        script = self.scripts.get(name)
        if script is not None and script.slow:
            return None
        if script is not None and script.garbage:
            return wire[:2] + b"\xff" * 40
        reply = dns.message.make_response(query)
        if script is None:
            reply.set_rcode(dns.rcode.NXDOMAIN)
        elif script.refused:
            reply.set_rcode(dns.rcode.REFUSED)
        elif script.over_tcp and is_udp:
            reply.flags |= dns.flags.TC
        else:
            self._fill(reply, name, kind)
        return reply.to_wire()

    def _fill(self, reply: dns.message.Message, name: str, kind: str) -> None:
        """Follows aliases as a recursive server does."""
        script = self.scripts.get(name)
        while script is not None and script.cname:
            alias = dns.rrset.from_text(name + ".", 0, "IN", "CNAME", script.cname + ".")
            reply.answer.append(alias)
            name, script = script.cname, self.scripts.get(script.cname)
        if script is None or kind not in ("A", "AAAA"):
            return
        turns = script.a if kind == "A" else script.aaaa
        addresses = turns[min(self._turns[name, kind], len(turns) - 1)]
        self._turns[name, kind] += 1
        if addresses:
            reply.answer.append(dns.rrset.from_text(name + ".", 0, "IN", kind, *addresses))


class _Udp(asyncio.DatagramProtocol):
    def __init__(self, resolver: LocalResolver) -> None:
        self._resolver = resolver

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        with contextlib.suppress(dns.exception.DNSException):
            if reply := self._resolver.answer(data, is_udp=True):
                self._transport.sendto(reply, addr)


@asynccontextmanager
async def local_resolver() -> AsyncIterator[LocalResolver]:
    """One server for one test."""
    resolver = LocalResolver()

    async def tcp(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        size = int.from_bytes(await reader.readexactly(2), "big")
        if reply := resolver.answer(await reader.readexactly(size), is_udp=False):
            writer.write(len(reply).to_bytes(2, "big") + reply)
        writer.close()

    server = await asyncio.start_server(tcp, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(
        lambda: _Udp(resolver), local_addr=("127.0.0.1", port)
    )
    resolver.address = f"127.0.0.1:{port}"
    try:
        yield resolver
    finally:
        transport.close()
        server.close()
        await server.wait_closed()
