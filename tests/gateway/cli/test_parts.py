"""Every part as a process of its own, started by its own command, as containers start them."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from gateway.store.embedded import EmbeddedPostgres
from gateway.store.migrate import migrate
from sandbox.paths import RunPaths
from tests.support.managing import short_directory
from tests.support.waiting import until_blocking

ROOT = Path(__file__).parents[3]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def part(name: str, folder: Path, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """`sandgate <name>`; it ends by itself when told to."""
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway.cli.main", name, "--run-dir", str(folder / "run")],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **environment},
        stderr=subprocess.PIPE,
    )
    try:
        yield process
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.communicate()


@pytest.mark.slow
async def test_parts_that_run_alone_make_a_whole() -> None:
    with short_directory() as folder:
        port = free_port()
        ours = {
            "SANDGATE_DATA_DIR": str(folder / "gateway"), "GATEWAY_PORT": str(port),
            "ADMIN_API_KEY": "k" * 40,
        }  # fmt: skip
        apart = {"SANDGATE_DATA_DIR": str(folder / "manager"), "SANDBOX_RUNTIME": "fake"}
        server = EmbeddedPostgres(folder / "gateway", settings={"fsync": "off"})
        await server.start()
        try:
            await migrate(server.socket_dir)
            paths = RunPaths(folder / "run")
            with (
                part("manager", folder, **apart) as manager,
                part("door", folder, SANDGATE_DATA_DIR=str(folder / "door")),
            ):
                until_blocking(paths.manager_socket.exists, 60)
                environ = Path(f"/proc/{manager.pid}/environ").read_bytes()
                assert b"SANDGATE_DATA_DIR" not in environ
                with part("worker", folder, **ours), part("gateway", folder, **ours):
                    assert ready(port)["parts"]["sandboxes"]["ok"]
                    until_blocking(paths.data_socket.exists, 60)
        finally:
            await server.stop()


def ready(port: int) -> dict[str, dict[str, dict[str, object]]]:
    """What `/ready` says once it is."""
    found: dict[str, dict[str, dict[str, object]]] = {}

    def is_ready() -> bool:
        try:
            answer = httpx.get(f"http://127.0.0.1:{port}/ready", timeout=5)
        except httpx.TransportError:
            return False
        found.update(answer.json())
        return answer.status_code == 200

    until_blocking(is_ready, 60)
    return found
