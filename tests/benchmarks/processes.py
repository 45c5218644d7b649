"""Processes under measurement: started, pinned, and asked for processor time and memory."""

import contextlib
import os
import socket
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

from tests.support.waiting import until_blocking


def free_port() -> int:
    """A port nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def listening(port: int) -> bool:
    """Whether somebody accepts connections on it."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def started(
    arguments: Sequence[str],
    port: int,
    log: Path,
    environment: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Iterator[int]:
    """Run a server until the context ends; yields its process id once it listens."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, **(environment or {})},
            cwd=cwd,
        )
    try:
        until_blocking(lambda: listening(port) or process.poll() is not None)
        if process.poll() is not None:
            said = log.read_text(errors="replace")[-2000:]
            raise RuntimeError(f"{arguments[0]} ended with {process.returncode}: {said}")
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def family(pid: int) -> list[int]:
    """A process and everything it started."""
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        return [pid, *(child.pid for child in process.children(recursive=True))]
    return []


def cpu_seconds(pids: Iterable[int]) -> float:
    """User and system time of these so far, with what their ended threads used."""
    total = 0.0
    for pid in pids:
        times = psutil.Process(pid).cpu_times()
        total += times.user + times.system
    return total


def rss_mb(pids: Iterable[int]) -> float:
    """Resident memory of these."""
    return sum(float(psutil.Process(pid).memory_info().rss) for pid in pids) / 1e6


def descriptors(pids: Iterable[int]) -> int:
    """Open descriptors of these."""
    return sum(int(psutil.Process(pid).num_fds()) for pid in pids)


class Cores:
    """The proxy under measurement alone on one core, all else on the others: noise hits all alike.

    With one core, or when it was not wanted, nothing is pinned.
    """

    def __init__(self, wanted: bool = True) -> None:
        every = sorted(os.sched_getaffinity(0))
        self.pinned = wanted and len(every) > 1
        self._proxy = {every[-1]} if self.pinned else set(every)
        self._rest = set(every[:-1]) if self.pinned else set(every)

    def proxy(self, pids: Iterable[int]) -> None:
        """These are measured."""
        self._pin(pids, self._proxy)

    def rest(self, pids: Iterable[int]) -> None:
        """These are not: load, upstream, store."""
        self._pin(pids, self._rest)

    def _pin(self, pids: Iterable[int], cores: set[int]) -> None:
        for pid in pids:
            with contextlib.suppress(OSError):
                for thread in os.listdir(f"/proc/{pid}/task"):
                    with contextlib.suppress(OSError):
                        os.sched_setaffinity(int(thread), cores)
