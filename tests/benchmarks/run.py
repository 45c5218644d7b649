"""`make bench`: the same API called directly, through the gateway and through a peer, in one run.

Calls per second depend on the machine and its neighbours; CPU per call (user + system of the
proxy process over calls answered) and the ratios are what to compare.
"""

import argparse
import asyncio
import json
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil
import uvloop

from sandbox.client import ManagerClient
from sandbox.paths import runtime_dir
from tests.benchmarks.load import Outcome, Target, load
from tests.support.installation import Installation, installation
from tests.support.waiting import until_blocking

APP = """from fastapi import FastAPI

app = FastAPI()


@app.get("/")
async def root():
    return {"message": "Hello from user API"}
"""


@dataclass(frozen=True, slots=True)
class Row:
    """One way to reach the same app."""

    name: str
    connections: int
    calls_per_second: float
    p50_ms: float
    p99_ms: float
    proxy_cpu_us: float | None
    failed: int


def request(path: str, key: str | None) -> bytes:
    """The bytes of one call."""
    lines = [f"GET {path} HTTP/1.1", "Host: bench.test", "Accept: */*"]
    if key:
        lines.append(f"Authorization: Bearer {key}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def cpu_seconds(pid: int | None) -> float:
    """User and system time of a process so far."""
    if pid is None:
        return 0.0
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def measure(name: str, target: Target, pid: int | None, connections: int, seconds: float) -> Row:
    """Warm up, then measure."""

    async def both() -> tuple[Outcome, float]:
        await load(target, connections, min(1.0, seconds))
        before = cpu_seconds(pid)
        outcome = await load(target, connections, seconds)
        return outcome, cpu_seconds(pid) - before

    outcome, cpu = uvloop.run(both())
    answered = len(outcome.latencies)
    failed = outcome.broken + sum(n for status, n in outcome.statuses.items() if status != 200)
    return Row(
        name,
        connections,
        round(outcome.calls_per_second, 1),
        round(outcome.percentile_ms(0.5), 3),
        round(outcome.percentile_ms(0.99), 3),
        round(cpu / answered * 1e6, 1) if pid and answered else None,
        failed,
    )


def sandbox_socket(made: Installation, api_id: str) -> str:
    """The listening socket of the API's sandbox."""
    run_dir = runtime_dir(made.data_dir)

    async def ask() -> str:
        client = ManagerClient(run_dir / "manager.sock")
        try:
            status = await client.status()
        finally:
            await client.close()
        living = [s for s in status.sandboxes if s.spec and s.spec.api_id == api_id]
        return str(run_dir / "s" / f"{living[-1].sandbox_id}.sock")

    return asyncio.run(ask())


@contextmanager
def peer(unix: str, key: str, folder: Path) -> Iterator[tuple[int, int]]:
    """Start the peer; yields its port and process id."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    arguments = ["--unix", unix, "--key", key, "--port", str(port)]
    arguments += ["--journal", str(folder / "peer.jsonl")]
    process = subprocess.Popen([sys.executable, "-m", "tests.benchmarks.peer", *arguments])

    def listening() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    try:
        until_blocking(listening)
        yield port, process.pid
    finally:
        process.terminate()
        process.wait(20)


def rows(seconds: float, connections: int) -> list[Row]:
    """Everything, in one installation."""
    with installation() as made, tempfile.TemporaryDirectory() as folder:
        api = made.deploy("bench", APP)
        made.lift_limits(api["tenant_id"])
        many = {"minute": 10**8, "hour": 10**9, "day": 10**9}
        made.set_limits(api["tenant_id"], many)
        key, path = api["api_key"], f"/{api['id']}"
        with made.client(Authorization=f"Bearer {key}") as client:
            client.get(path).raise_for_status()
        unix = sandbox_socket(made, api["id"])
        host, port = made.url.removeprefix("http://").split(":")
        gateway = made.processes()["gateway"]
        found = []
        with peer(unix, key, Path(folder)) as (peer_port, peer_pid):
            for many_connections in (1, connections):
                direct = Target(request("/", None), unix=unix)
                ours = Target(request(path, key), host=host, port=int(port))
                theirs = Target(request(f"{path}/", key), host="127.0.0.1", port=peer_port)
                plan = (
                    ("direct to the sandbox", direct, None),
                    ("through the gateway", ours, gateway),
                    ("FastAPI + httpx proxy", theirs, peer_pid),
                )
                for name, target, pid in plan:
                    found.append(measure(name, target, pid, many_connections, seconds))
                    show(found[-1])
        return found


def show(row: Row) -> None:
    """One line of the table."""
    cpu = f"{row.proxy_cpu_us:8.1f}" if row.proxy_cpu_us is not None else "       –"
    print(
        f"| {row.name:<22} | {row.connections:>3} | {row.calls_per_second:>9.0f} "
        f"| {row.p50_ms:>7.2f} | {row.p99_ms:>7.2f} | {cpu} | {row.failed:>6} |",
        flush=True,
    )


def ratios(found: list[Row]) -> dict[str, float]:
    """What to compare across machines: ours against the peer at the highest concurrency."""
    busiest = max(row.connections for row in found)
    by_name = {row.name: row for row in found if row.connections == busiest}
    ours, theirs = by_name["through the gateway"], by_name["FastAPI + httpx proxy"]
    direct = by_name["direct to the sandbox"]
    return {
        "calls/s against FastAPI + httpx": round(
            ours.calls_per_second / theirs.calls_per_second, 1
        ),
        "calls/s against direct": round(ours.calls_per_second / direct.calls_per_second, 2),
        "CPU per call, FastAPI + httpx against ours": round(
            (theirs.proxy_cpu_us or 0) / (ours.proxy_cpu_us or 1), 1
        ),
    }


def main() -> None:
    """Print a table and the ratios; with --output write JSON too. Fails when a call failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--output", type=Path)
    chosen = parser.parse_args()
    print(f"| {'way':<22} | con |   calls/s |  p50 ms |  p99 ms |  CPU µs | failed |")
    print(f"|{'-' * 24}|----:|----------:|--------:|--------:|--------:|-------:|")
    begin = time.time()
    found = rows(chosen.seconds, chosen.connections)
    compared = ratios(found)
    print("\n" + "\n".join(f"{name}: {value} ×" for name, value in compared.items()))
    if chosen.output:
        result = {"at": begin, "rows": [asdict(row) for row in found], "ratios": compared}
        chosen.output.write_text(json.dumps(result, indent=2) + "\n")
    sys.exit(1 if any(row.failed for row in found) else 0)


if __name__ == "__main__":
    main()
