"""The call path on real sockets: a gateway, sandboxes that play any part, and a raw caller."""

import asyncio
import contextlib
import json
import socket
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

from starlette.types import ASGIApp

from gateway.auth.keys import generate_key, hash_key
from gateway.auth.verify import KeyVerifier
from gateway.key_hashes import Hashes, HashSecret, HashSecrets
from gateway.limits.memory import MemoryLimiter
from gateway.metering.journal import Journal
from gateway.metering.recorder import Recorder
from gateway.metrics import Metrics
from gateway.proxy.activate import Activation
from gateway.proxy.endpoint import Endpoint
from gateway.proxy.leases import Leases
from gateway.proxy.resolve import Resolver
from gateway.proxy.retire import Retirement
from gateway.proxy.streams import Streams
from gateway.server.serving import AtOnce, Server
from gateway.store.routes import ActiveVersion, Route
from sandbox.types import (
    Bundle,
    EndReason,
    Lease,
    ManagerUnavailableError,
    Resources,
    SandboxError,
    SandboxSpec,
    SandboxStatus,
    StartTimes,
    Tier,
)
from tests.support.rawhttp import Answer, Handler, read_answer

SECRET = b"s" * 32
SECRETS = partial(HashSecrets, HashSecret(SECRET))


class NewsDesk:
    """Changes, announced by hand."""

    def __init__(self) -> None:
        self._callbacks: list[Callable[[str, str], None]] = []

    def subscribe(self, callback: Callable[[str, str], None], /) -> None:
        """Call back from now on."""
        self._callbacks.append(callback)

    def publish(self, kind: str, identifier: str) -> None:
        """Something changed."""
        for callback in self._callbacks:
            callback(kind, identifier)


class MemoryStore:
    """Routes, versions, code and keys in memory; `down` makes every read fail."""

    def __init__(self) -> None:
        self.routes: dict[str, Route] = {}
        self.keys: dict[str, dict[str, Any]] = {}
        self.pins: dict[tuple[str, int], ActiveVersion] = {}
        self.down: Exception | None = None
        self.gate = asyncio.Event()  # reads answer while it is set
        self.gate.set()
        self.reads: list[tuple[str, object]] = []

    async def route(self, reference: str) -> Route | None:
        """By id or slug, as it was when asked."""
        found = next((r for r in self.routes.values() if reference in (r.api_id, r.slug)), None)
        await self._read("route", reference)
        return found

    async def version(self, api_id: str, n: int) -> ActiveVersion | None:
        """A pinned version."""
        await self._read("version", (api_id, n))
        return self.pins.get((api_id, n))

    async def kept(self) -> list[Route]:
        """Those that keep sandboxes."""
        await self._read("kept", None)
        return [route for route in self.routes.values() if route.instances.min > 0]

    async def bundle(self, version_id: str) -> Bundle | None:
        """A version's code is its own id, so that a test can tell them apart."""
        await self._read("bundle", version_id)
        return Bundle(version_id)

    async def key(self, hashes: Hashes) -> dict[str, Any] | None:
        """What `gateway_key` answers."""
        await self._read("key", hashes.current)
        return self.keys.get(hashes.current)

    async def _read(self, what: str, argument: object) -> None:
        self.reads.append((what, argument))
        await self.gate.wait()
        if self.down is not None:
            raise self.down

    def add_api(self, slug: str = "", **changes: Any) -> Route:
        """An active API with one version."""
        route = Route(
            api_id=str(uuid4()),
            slug=slug or f"api-{uuid4().hex[:8]}",
            tenant_id=str(uuid4()),
            tenant_status="active",
            status="active",
            generation=1,
            limits={},
            resources=Resources(),
            versions=(ActiveVersion(str(uuid4()), 1, 100),),
        )
        route = replace(route, **changes)
        self.routes[route.api_id] = route
        for version in route.versions:
            self.pins[(route.api_id, version.n)] = version
        return route

    def add_key(self, *routes: Route, **changes: Any) -> str:
        """A key for these APIs."""
        key = generate_key()
        self.keys[hash_key(key, SECRET)] = {
            "key_id": str(uuid4()),
            "tenant_id": str(uuid4()),
            "tenant_status": "active",
            "plan": "free",
            "plan_limits": {"hour": 10**6},
            "tenant_limits": {},
            "limits": {},
            "api_ids": [route.api_id for route in routes],
            "expires_at": None,
            "revoked_at": None,
        } | changes
        return key


class Sandboxes:
    """A manager whose sandboxes are servers in this process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._number = 0
        self.living: dict[SandboxSpec, Lease] = {}
        self._adopted: dict[str, Lease] = {}  # by version id
        self._servers: dict[str, asyncio.Server] = {}
        self._writers: dict[str, list[asyncio.StreamWriter]] = {}
        self.handlers: dict[str, Handler] = {}  # by version id
        self.started: list[SandboxSpec] = []
        self.found: list[SandboxSpec] = []
        self.renewed: list[Sequence[str]] = []
        self.retired: list[str] = []
        self.overdues: list[str] = []
        self.ended: list[SandboxStatus] = []
        self.asked: list[str] = []  # for the endings of these APIs
        self.end = EndReason.CRASH  # of those that are killed
        self.times: StartTimes | None = StartTimes(0.0, 0.001, 0.01, 0.002, is_warm=True)
        self.fails: SandboxError | None = None
        self.start_fails: dict[int | str, SandboxError] = {}  # by instance, or by version id
        self.is_renewing = True
        self.seconds = 600.0
        self.gate = asyncio.Event()  # starts end while it is set
        self.gate.set()

    def adopt(self, version_id: str, path: str) -> None:
        """Somebody else serves this version there."""
        self._adopted[version_id] = Lease(version_id, path, self.seconds, "memory", Tier.NONE)

    async def find(self, spec: SandboxSpec) -> Lease | None:
        """Only what lives."""
        self.found.append(spec)
        self._refuse()
        return self._adopted.get(spec.version_id) or self.living.get(spec)

    async def acquire(self, spec: SandboxSpec, bundle: Bundle) -> Lease:
        """Start it; the code is the version's id."""
        self.started.append(spec)
        await self.gate.wait()
        self._refuse()
        for key in (spec.instance, spec.version_id):
            if key in self.start_fails:
                raise self.start_fails[key]
        self._number += 1
        name = f"box-{self._number}"
        path = str(self.folder / f"{name}.sock")
        self._writers[name] = []
        handler = self.handlers[bundle.code]

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self._writers[name].append(writer)
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                await handler(reader, writer)
            writer.close()

        self._servers[name] = await asyncio.start_unix_server(serve, path, backlog=4096)
        self.living[spec] = Lease(name, path, self.seconds, "memory", Tier.NONE)
        return replace(self.living[spec], times=self.times)

    async def renew(self, sandbox_ids: Sequence[str]) -> dict[str, float]:
        """Those that live."""
        self._refuse()
        if not self.is_renewing:
            raise ManagerUnavailableError("not now")
        self.renewed.append(sandbox_ids)
        living = {lease.sandbox_id for lease in self.living.values()}
        return {name: self.seconds for name in sandbox_ids if name in living}

    async def overdue(self, sandbox_id: str) -> None:
        """A call got no answer in there; the test decides what comes of it."""
        self._refuse()
        self.overdues.append(sandbox_id)

    async def sandboxes(self, api_id: str) -> list[SandboxStatus]:
        """Those that ended."""
        self._refuse()
        self.asked.append(api_id)
        return [one for one in self.ended if one.spec is not None and one.spec.api_id == api_id]

    async def retire(self, sandbox_id: str) -> None:
        """Stop one."""
        self._refuse()
        self.retired.append(sandbox_id)
        for spec, lease in list(self.living.items()):
            if lease.sandbox_id == sandbox_id:
                await self.kill(spec)

    async def kill(self, spec: SandboxSpec) -> None:
        """It ends as a process does: its listener and all connections at once."""
        name = self.living.pop(spec).sandbox_id
        self.ended.append(SandboxStatus(name, spec, "ended", 1.0, end=self.end))
        self._servers.pop(name).close()
        for writer in self._writers.pop(name):
            writer.transport.abort()

    async def close(self) -> None:
        """End all of them."""
        for spec in list(self.living):
            await self.kill(spec)

    def _refuse(self) -> None:
        if self.fails is not None:
            raise self.fails


class DataPath:
    """A running gateway over memory stores and sandboxes in this process."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.store = MemoryStore()
        self.news = NewsDesk()
        self.sandboxes = Sandboxes(folder)
        self.journal = Journal(folder / "journal", segment_seconds=3600)
        self.resolver = Resolver(self.store, self.news)
        self.crashed: list[tuple[SandboxSpec, str]] = []
        self.replaces: Callable[[SandboxSpec], bool] = lambda _spec: False
        self.activation = Activation(self.sandboxes, self.store, on_crash_loop=self._on_crash_loop)
        self.ahead = 0.0  # of the time by which leases run out
        self.metrics = Metrics()
        self.leases = Leases(
            self.sandboxes,
            self.activation,
            starts=self.metrics,
            clock=lambda: time.monotonic() + self.ahead,
        )
        self.retirement = Retirement(self.resolver, self.leases, self.news)
        self.limiter = MemoryLimiter()
        self.observed: list[tuple[int, str | None]] = []
        verifier = KeyVerifier(self.store.key, SECRETS, self.news)
        self.streams = Streams(verifier, self.resolver, self.news)
        self.endpoint = Endpoint(
            resolver=self.resolver,
            verifier=verifier,
            streams=self.streams,
            limiter=self.limiter,
            leases=self.leases,
            recorder=Recorder(self.journal),
            observe=lambda status, code, _seconds: self.observed.append((status, code)),
            **options,
        )
        self._folder = folder
        self.port = 0
        self.server: Server

    async def _on_crash_loop(self, spec: SandboxSpec, reason: str) -> bool:
        """What the control plane would do; the test decides."""
        self.crashed.append((spec, reason))
        return self.replaces(spec)

    def serve(self, handler: Handler, **changes: Any) -> tuple[Route, str]:
        """An API whose sandbox is this handler, and a key for it."""
        route = self.store.add_api(**changes)
        for version in route.versions:
            self.sandboxes.handlers[version.version_id] = handler
        return route, self.store.add_key(route)

    def change(self, route: Route, **changes: Any) -> Route:
        """The route changes, and everybody hears of it."""
        changed = replace(route, **changes)
        self.store.routes[route.api_id] = changed
        for version in changed.versions:
            self.store.pins[(route.api_id, version.n)] = version
        self.news.publish("api", route.api_id)
        return changed

    def records(self) -> list[dict[str, Any]]:
        """Every line of the journal."""
        lines: list[dict[str, Any]] = []
        for path in sorted((self._folder / "journal").glob("*.jsonl")):
            lines += [json.loads(line) for line in path.read_bytes().splitlines()]
        return lines

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A caller's connection."""
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def call(
        self,
        path: str,
        key: str = "",
        *,
        method: str = "GET",
        headers: Sequence[tuple[str, str]] = (),
        body: bytes = b"",
    ) -> Answer:
        """One call on a connection of its own."""
        lines = [f"{method} {path} HTTP/1.1", "Host: gateway.test"]
        if key:
            lines.append(f"X-API-Key: {key}")
        lines += [f"{name}: {value}" for name, value in headers]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        return await self.raw("\r\n".join(lines).encode() + b"\r\n\r\n" + body, method)

    async def raw(self, request: bytes, method: str = "GET") -> Answer:
        """These bytes, and what came back."""
        reader, writer = await self.connect()
        writer.write(request)
        try:
            return await read_answer(reader, method)
        finally:
            writer.close()


@asynccontextmanager
async def running(
    app: ASGIApp, listener: socket.socket, at_once: AtOnce | None = None
) -> AsyncIterator[Server]:
    """An application on a listener, behind the gateway's own server, in this event loop."""
    server = Server(app, at_once)
    await server.start([listener])
    try:
        yield server
    finally:
        await server.close()
        listener.close()


@asynccontextmanager
async def data_path(**options: Any) -> AsyncIterator[DataPath]:
    """A gateway on a loopback port."""
    with tempfile.TemporaryDirectory(prefix="sgd-") as name:
        path = DataPath(Path(name), **options)
        path.journal.open()
        listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
        path.port = listener.getsockname()[1]
        works = (path.leases.run(), path.retirement.run(), path.streams.run())
        tasks = [asyncio.create_task(work) for work in works]
        try:
            async with running(path.endpoint, listener, path.endpoint.at_once) as server:
                path.server = server
                yield path
                await path.sandboxes.close()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await path.leases.close()
            await path.sandboxes.close()
            path.journal.close()
