"""A Docker engine of the test's own, so that killing it hurts nobody else."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from tests.support.engines import require
from tests.support.waiting import until_blocking

READY_SECONDS = 60


class PrivateEngine:
    """dockerd with its own containerd, data and socket, all below one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.address = f"unix://{folder}/docker.sock"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers; also after `kill`."""
        for name in ("pid", "exec/containerd/containerd.pid"):
            (self.folder / name).unlink(missing_ok=True)  # of a killed one: another's number by now
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    "dockerd",
                    *("--data-root", str(self.folder / "data")),
                    *("--exec-root", str(self.folder / "exec")),
                    *("--pidfile", str(self.folder / "pid")),
                    *("-H", self.address, "--bridge=none"),
                    *("--iptables=false", "--ip-forward=false"),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        until_blocking(self.answers, READY_SECONDS)

    def answers(self) -> bool:
        """Whether it takes commands."""
        done = self.docker("version", "--format", "{{.Server.Version}}")
        return done.returncode == 0

    def docker(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """A command of its client."""
        return subprocess.run(
            ["docker", *arguments],
            env={**os.environ, "DOCKER_HOST": self.address},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def containers(self) -> list[str]:
        """Every container it knows."""
        return self.docker("ps", "-aq").stdout.split()

    def kill(self) -> None:
        """kill -9 of the engine and its containerd; containers go on."""
        assert self._process is not None
        below = psutil.Process(self._process.pid).children()
        for number in (self._process.pid, *(each.pid for each in below)):
            with suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
        self._process.wait(30)

    def stop(self) -> None:
        """End it and everything it still has."""
        if self._process is None or self._process.poll() is not None:
            return
        left = self.containers()
        if left:
            self.docker("rm", "-f", *left)
        self._process.terminate()
        self._process.wait(60)


@contextmanager
def private_engine() -> Iterator[PrivateEngine]:
    """An engine that answers, removed with everything at the end."""
    require("docker")
    folder = Path(tempfile.mkdtemp(prefix="sge", dir="/tmp"))
    engine = PrivateEngine(folder)
    try:
        engine.start()
        yield engine
    finally:
        engine.stop()
        shutil.rmtree(folder, ignore_errors=True)
