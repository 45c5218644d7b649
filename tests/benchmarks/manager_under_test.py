"""A manager and a door as the processes they are, and what a benchmark asks of them."""

import asyncio
import contextlib
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from sandbox.client import ManagerClient
from sandbox.paths import RunPaths, make_private
from sandbox.runtimes.identity import uid_of
from sandbox.types import Bundle, EgressPolicy, Lease, ManagerUnavailableError, SandboxSpec

HELLO = """from fastapi import FastAPI

app = FastAPI()


@app.get("/")
async def root():
    return {"message": "Hello"}
"""
REQUEST = b"GET / HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n"
_READY_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class UnderTest:
    """A manager that runs, with its client."""

    client: ManagerClient
    pid: int
    installation: str
    run_dir: Path

    def rss_mb(self) -> float:
        """Memory of the manager's process."""
        return float(psutil.Process(self.pid).memory_info().rss) / 1e6

    def descriptors(self) -> int:
        """Open descriptors of the manager's process."""
        return int(psutil.Process(self.pid).num_fds())


@asynccontextmanager
async def under_test(runtime: str, data_dir: Path, *options: str) -> AsyncIterator[UnderTest]:
    """Start door and manager; everything ends with the context."""
    installation = f"bench-{uuid.uuid4().hex[:8]}"
    with _short_folder() as run_dir, contextlib.ExitStack() as processes:
        make_private(run_dir)
        door = ("-m", "sandbox.egress.server", "--run-dir", str(run_dir))
        processes.enter_context(_running(*door))
        manager = ("-m", "sandbox.server", "--data-dir", str(data_dir), "--run-dir", str(run_dir))
        named = ("--installation", installation, "--runtime", runtime)
        process = processes.enter_context(_running(*manager, *named, *options))
        client = ManagerClient(RunPaths(run_dir).manager_socket)
        try:
            await _until_open(client)
            yield UnderTest(client, process.pid, installation, run_dir)
        finally:
            await client.close()


@contextmanager
def _short_folder() -> Iterator[Path]:
    path = tempfile.mkdtemp(prefix="sgb", dir="/tmp")
    try:
        yield Path(path)
    finally:
        shutil.rmtree(path)


@contextmanager
def _running(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, *arguments], stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(60)


async def _until_open(client: ManagerClient) -> None:
    async with asyncio.timeout(_READY_SECONDS):
        while True:
            with contextlib.suppress(ManagerUnavailableError):
                status = await client.status()
                if status.engine_ok and status.runtime != "none":
                    return
            await asyncio.sleep(0.05)


def new_spec(tenant: str = "tenant") -> SandboxSpec:
    """A sandbox nobody has asked for before."""
    return SandboxSpec(str(uuid.uuid4()), str(uuid.uuid4()), tenant_id=tenant)


def full_bundle() -> Bundle:
    """Code with environment, secrets and a way out: what costs most on the warm path."""
    environment = {f"SECRET_{number}": uuid.uuid4().hex for number in range(8)}
    return Bundle(HELLO, environment, EgressPolicy(("api.example.com", "*.example.org")))


async def first_byte(lease: Lease) -> None:
    """One real call, until its answer begins."""
    reader, writer = await asyncio.open_unix_connection(lease.socket_path)
    try:
        writer.write(REQUEST)
        begin = await reader.readexactly(12)
        if begin != b"HTTP/1.1 200":
            raise RuntimeError(f"answered {begin!r}")
    finally:
        writer.transport.abort()


async def until_status(it: UnderTest, status: str, count: int = 1, seconds: float = 60) -> None:
    """Wait until so many sandboxes have this status."""
    async with asyncio.timeout(seconds):
        while True:
            found = await it.client.status()
            if sum(one.status == status for one in found.sandboxes) >= count:
                return
            await asyncio.sleep(0.005)


def private_mb(sandbox_id: str) -> float:
    """Memory that only this sandbox's processes have: what one more of them costs."""
    uid, total = uid_of(sandbox_id), 0
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.uids().real == uid:
                lines = Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines()
                total += sum(int(x.split()[1]) for x in lines if x.startswith("Private_"))
    return total / 1024
