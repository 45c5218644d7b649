"""A redis-server of its own, on a Unix socket, that tests may kill, hang and flush."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.support.waiting import until_blocking

_START_SECONDS = 10


class RedisServer:
    """One server process without persistence: what it is told is lost when it ends."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self.socket = folder / "redis.sock"

    @property
    def url(self) -> str:
        """As in the setting `REDIS_URL`."""
        return f"unix://{self.socket}"

    def start(self, *options: str) -> None:
        """Start it and wait until it answers."""
        self.socket.unlink(missing_ok=True)  # a killed one leaves it behind
        self._process = subprocess.Popen(
            [
                *("redis-server", "--port", "0", "--unixsocket", str(self.socket)),
                *("--save", "", "--appendonly", "no", "--dir", str(self._folder)),
                *options,
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        until_blocking(self._answers, _START_SECONDS)

    def kill(self) -> None:
        """kill -9, and gone when this returns."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def hang(self) -> None:
        """It keeps its connections and answers nothing, until `resume`."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """It goes on where it stopped."""
        self._signal(signal.SIGCONT)

    def client(self) -> "redis.Redis":
        """A plain client for looking inside; close it."""
        return redis.Redis(
            unix_socket_path=str(self.socket), decode_responses=True, retry=Retry(NoBackoff(), 0)
        )

    def flush(self) -> None:
        """It forgets everything."""
        with self.client() as client:
            client.flushall()

    def _signal(self, number: int) -> None:
        assert self._process is not None
        os.kill(self._process.pid, number)

    def _answers(self) -> bool:
        if not self.socket.exists():
            return False
        with self.client() as client:
            try:
                return bool(client.ping())
            except redis.AuthenticationError:
                return True  # it wants a password that we do not have
            except redis.RedisError:
                return False


def require_redis() -> None:
    """End the test unless redis-server is installed: skip on a laptop, fail in CI."""
    if shutil.which("redis-server") is not None:
        return
    if os.environ.get("CI") == "true":
        pytest.fail("redis-server is not installed")
    pytest.skip("redis-server is not installed")


@contextmanager
def redis_server(*options: str) -> Iterator[RedisServer]:
    """A started server, gone at the end; for tests that do it harm."""
    require_redis()
    folder = Path(tempfile.mkdtemp(prefix="sgr-"))
    server = RedisServer(folder)
    try:
        server.start(*options)
        yield server
    finally:
        server.kill()
        shutil.rmtree(folder, ignore_errors=True)
