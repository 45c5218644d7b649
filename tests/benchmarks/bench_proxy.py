"""How much CPU the call path costs: endpoint, forward and journal over a bare ASGI sandbox.

Needs no database, manager or container: `python -m tests.benchmarks.bench_proxy`. Prints calls
per second, latency and the gateway's CPU per call.
"""

import argparse
import asyncio
import cProfile
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import uvicorn
import uvloop
from starlette.types import Receive, Scope, Send

from gateway.auth.verify import KeyVerifier
from gateway.limits.memory import MemoryLimiter
from gateway.metering.journal import Journal
from gateway.metering.recorder import Recorder
from gateway.proxy.activate import Activation
from gateway.proxy.endpoint import Endpoint
from gateway.proxy.leases import Leases
from gateway.proxy.resolve import Resolver
from gateway.proxy.streams import Streams
from gateway.server.serving import Server
from sandbox.types import Bundle, Lease, SandboxSpec, SandboxStatus, Tier
from tests.benchmarks.load import Target, load
from tests.support.datapath import SECRETS, MemoryStore, NewsDesk

BODY = b'{"fact": "Cats sleep for most of their lives.", "length": 38}'


async def bare_app(scope: Scope, receive: Receive, send: Send) -> None:
    """A small JSON answer and nothing else."""
    await send(
        {
            "type": "http.response.start",
            "status": 200,
            "headers": [
                (b"content-type", b"application/json"),
                (b"content-length", b"%d" % len(BODY)),
            ],
        }
    )
    await send({"type": "http.response.body", "body": BODY})


def serve_sandbox(path: str) -> None:
    """The sandbox's side."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    config = uvicorn.Config(
        bare_app, loop="uvloop", http="httptools", lifespan="off", access_log=False, log_config=None
    )
    uvicorn.Server(config).run(sockets=[listener])


class Manager:
    """One sandbox, always there."""

    def __init__(self, path: str) -> None:
        self._lease = Lease("box", path, 600, "bare", Tier.NONE)

    async def find(self, _spec: SandboxSpec) -> Lease | None:
        """It."""
        return self._lease

    async def acquire(self, _spec: SandboxSpec, _bundle: Bundle) -> Lease:
        """It."""
        return self._lease

    async def renew(self, sandbox_ids: Sequence[str]) -> dict[str, float]:
        """As long as anybody likes."""
        return dict.fromkeys(sandbox_ids, 600.0)

    async def retire(self, _sandbox_id: str) -> None:
        """Never asked for."""

    async def overdue(self, _sandbox_id: str) -> None:
        """Never told."""

    async def sandboxes(self, _api_id: str) -> list[SandboxStatus]:
        """None has ended."""
        return []


def make_endpoint(folder: Path, sandbox_path: str, journal: Journal) -> Endpoint:
    """The whole call path with a key, three limits and the journal; stores in memory."""
    store, news, manager = MemoryStore(), NewsDesk(), Manager(sandbox_path)
    route = store.add_api(limits={"minute": 10**9})
    key = store.add_key(route, plan_limits={"hour": 10**9}, limits={"day": 10**9})
    (folder / "call").write_text(f"{route.api_id} {key}")
    resolver, verifier = Resolver(store, news), KeyVerifier(store.key, SECRETS, news)
    return Endpoint(
        resolver=resolver,
        verifier=verifier,
        streams=Streams(verifier, resolver, news),
        limiter=MemoryLimiter(),
        leases=Leases(manager, Activation(manager, store)),
        recorder=Recorder(journal),
    )


def serve_gateway(folder: Path, sandbox_path: str, profile: str | None) -> None:
    """The gateway's side."""
    journal = Journal(folder / "journal", segment_seconds=0.5)

    async def run() -> None:
        journal.open()
        rotation = asyncio.create_task(journal.run())
        listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
        endpoint = make_endpoint(folder, sandbox_path, journal)
        server = Server(endpoint, endpoint.at_once)
        await server.start([listener])
        (folder / "port").write_text(str(listener.getsockname()[1]))
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
        await stop.wait()
        await server.close()
        rotation.cancel()

    if profile is None:
        uvloop.run(run())
        return
    profiler = cProfile.Profile()
    try:
        profiler.runcall(uvloop.run, run())
    finally:
        profiler.dump_stats(profile)


def cpu_seconds(pid: int) -> tuple[float, float]:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    tick = os.sysconf("SC_CLK_TCK")
    return int(fields[11]) / tick, int(fields[12]) / tick


def wait_for(path: Path) -> None:
    """Until a file is there."""
    deadline = time.monotonic() + 20
    while not path.exists():
        if time.monotonic() > deadline:
            raise TimeoutError(path)
        time.sleep(0.02)


def measure(folder: Path, seconds: int, connections: int, profile: str | None) -> None:
    """Start both sides, load them, print."""
    sandbox_path = str(folder / "box.sock")
    me = [sys.executable, "-m", "tests.benchmarks.bench_proxy"]
    children = [
        subprocess.Popen([*me, "--sandbox", sandbox_path]),
        subprocess.Popen(
            [*me, "--gateway", str(folder), *(["--profile", profile] if profile else [])],
        ),
    ]
    try:
        wait_for(Path(sandbox_path))
        wait_for(folder / "port")
        api_id, key = (folder / "call").read_text().split()
        port = int((folder / "port").read_text())
        call = f"GET /{api_id}/fact?n=1 HTTP/1.1\r\nHost: bench\r\nX-API-Key: {key}\r\n\r\n"
        target = Target(call.encode(), host="127.0.0.1", port=port)
        uvloop.run(load(target, connections, 1))
        before = cpu_seconds(children[1].pid)
        outcome = uvloop.run(load(target, connections, seconds))
        after = cpu_seconds(children[1].pid)
        calls = len(outcome.latencies)
        print(
            f"{outcome.calls_per_second:.0f} calls/s, p50 {outcome.percentile_ms(0.5):.2f} ms, "
            f"p99 {outcome.percentile_ms(0.99):.2f} ms, statuses {outcome.statuses}"
        )
        user, system = ((b - a) / calls * 1e6 for a, b in zip(before, after, strict=True))
        print(f"gateway CPU per call: {user + system:.1f} us ({user:.1f} user) over {calls} calls")
    finally:
        for child in reversed(children):
            child.terminate()
            child.wait(10)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--profile", help="write a cProfile of the gateway here")
    parser.add_argument("--sandbox", help=argparse.SUPPRESS)
    parser.add_argument("--gateway", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.sandbox:
        serve_sandbox(options.sandbox)
    elif options.gateway:
        folder = Path(options.gateway)
        serve_gateway(folder, str(folder / "box.sock"), options.profile)
    else:
        with tempfile.TemporaryDirectory(prefix="sgb-") as folder_name:
            measure(Path(folder_name), options.seconds, options.connections, options.profile)


if __name__ == "__main__":
    main()
