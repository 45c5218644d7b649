"""A real door over real sockets: a local name server, local origins, addresses that lead there."""

import asyncio
import json
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sandbox.channel import bind
from sandbox.egress.addresses import Address
from sandbox.egress.authority import Authority
from sandbox.egress.dialling import Dialler, Streams
from sandbox.egress.door import Door
from sandbox.egress.hosts import normalise
from sandbox.egress.limits import Limits
from sandbox.egress.resolve import Resolver, nameservers
from tests.sandbox.egress.resolver import LocalResolver, Script, local_resolver

PUBLIC = "93.184.215.14"
PUBLIC_V6 = "2606:2800:21f:cb07:6820:80da:af6b:8b2c"
LIMITS = Limits(head_seconds=5, idle_seconds=5, resolve_seconds=1, dial_seconds=3)

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Origin:
    """A host of the Internet: what came in, and what goes out for it."""

    requests: list[bytes] = field(default_factory=list)
    answer: bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    talk: Talk | None = None
    connections: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            if self.talk is not None:
                await self.talk(reader, writer)
            else:
                self.requests.append(await reader.readuntil(b"\r\n\r\n"))
                writer.write(self.answer)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@dataclass
class Reply:
    """What a sandbox got back."""

    raw: bytes

    @property
    def status(self) -> int:
        return int(self.raw.split(b" ", 2)[1])

    @property
    def code(self) -> str:
        return str(json.loads(self.raw.partition(b"\r\n\r\n")[2])["code"])


@dataclass
class Site:
    """Everything of one test."""

    folder: Path
    resolver: LocalResolver
    door: Door
    authority: Authority  # the door's
    internet: Authority  # whom the door trusts
    plain: Origin
    secure: Origin
    ports: dict[int, int] = field(default_factory=dict)  # what the world listens on, to where
    dialled: list[tuple[str, int]] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def open(
        self, hosts: list[str], sandbox_id: str = "s1", api_id: str = "api", **more: Any
    ) -> None:
        path = self.path(sandbox_id)
        path.unlink(missing_ok=True)
        detail = {"hosts": hosts, **more}
        self.door.opened(sandbox_id, api_id, bind(path), detail, self.said.append)

    def path(self, sandbox_id: str = "s1") -> Path:
        return self.folder / f"{sandbox_id}.sock"

    async def connect(self, sandbox_id: str = "s1") -> Streams:
        return await asyncio.open_unix_connection(self.path(sandbox_id))

    async def ask(self, data: bytes, sandbox_id: str = "s1") -> Reply:
        """Send these bytes and read to the end."""
        reader, writer = await self.connect(sandbox_id)
        writer.write(data)
        reply = Reply(await reader.read())
        writer.close()
        return reply

    async def get(self, url: str, *headers: str) -> Reply:
        host = url.split("/")[2]
        lines = [f"GET {url} HTTP/1.1", f"Host: {host}", *headers, "", ""]
        return await self.ask("\r\n".join(lines).encode())

    async def tunnel(self, authority: str, sandbox_id: str = "s1") -> Streams:
        """An open tunnel; fails when there is none."""
        reader, writer = await self.connect(sandbox_id)
        writer.write(f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 "), head
        return reader, writer

    async def tls(
        self, host: str, port: int = 443, *, name: str = "", ca: Authority | None = None
    ) -> Streams:
        """TLS with the host through a tunnel."""
        reader, writer = await self.tunnel(f"{host}:{port}")
        context = trusting(ca or self.internet)
        await writer.start_tls(context, server_hostname=name or host)
        return reader, writer

    async def dial(self, address: Address, port: int) -> Streams:
        """The whole world is on this machine."""
        self.dialled.append((str(address), port))
        if port not in self.ports:
            raise ConnectionRefusedError
        return await asyncio.open_connection("127.0.0.1", self.ports[port])


def trusting(authority: Authority) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=authority.certificate)
    context.set_alpn_protocols(["http/1.1"])
    return context


@asynccontextmanager
async def site(folder: Path, **limits: Any) -> AsyncIterator[Site]:
    """The host `a.example` serves plain on 80, 8080 and TLS on 443, 8443."""
    async with AsyncExitStack() as stack:
        resolver = await stack.enter_async_context(local_resolver())
        resolver.scripts["a.example"] = Script(a=[[PUBLIC]])
        own, internet = Authority(), Authority()
        bounds = replace(LIMITS, **limits)
        plain, secure = Origin(), Origin()
        it = Site(folder, resolver, Door.__new__(Door), own, internet, plain, secure)
        dialler = Dialler(
            Resolver(nameservers([resolver.address]), bounds.resolve_seconds),
            bounds,
            dial=it.dial,
            tls=trusting(internet),
        )
        it.door = Door(bounds, dialler, own)
        http = await asyncio.start_server(plain.serve, "127.0.0.1", 0)
        https = await asyncio.start_server(
            secure.serve, "127.0.0.1", 0, ssl=internet.context(normalise("a.example"))
        )
        for server, ports in ((http, (80, 8080)), (https, (443, 8443))):
            it.ports |= dict.fromkeys(ports, server.sockets[0].getsockname()[1])
            stack.callback(server.close)
        stack.push_async_callback(it.door.close)
        yield it


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])
