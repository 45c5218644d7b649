"""A few public addresses of the test's own: a network namespace with a name server and origins.

The door refuses every address that is special in any way, so what it may reach has to look
like the Internet. Only this machine routes to it, and only while the context lasts.
"""

import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.waiting import until_blocking

NEAR, FAR, SECOND = "51.77.0.1", "51.77.0.2", "51.77.0.3"


@dataclass(frozen=True, slots=True)
class SmallInternet:
    """What is out there."""

    nameserver: str
    folder: Path

    def requests(self) -> str:
        """What the origins were asked, one request a line with its headers."""
        path = self.folder / "requests"
        return path.read_text() if path.exists() else ""


def _run(*arguments: str) -> None:
    subprocess.run(arguments, check=True, capture_output=True, timeout=20)


@contextmanager
def small_internet(folder: Path, names: Mapping[str, list[str]]) -> Iterator[SmallInternet]:
    """`names` maps host names to their addresses; the n-th query gets the n-th answer list.

    Addresses FAR and SECOND answer HTTP on port 80 and TLS on 443.
    """
    if os.geteuid() != 0:
        pytest.skip("only root can make a network namespace")
    label = f"sg{uuid.uuid4().hex[:8]}"
    _run("ip", "netns", "add", label)
    process: subprocess.Popen[bytes] | None = None
    try:
        _run("ip", "link", "add", f"{label}a", "type", "veth", "peer", "name", f"{label}b")
        _run("ip", "link", "set", f"{label}b", "netns", label)
        _run("ip", "addr", "add", f"{NEAR}/29", "dev", f"{label}a")
        _run("ip", "link", "set", f"{label}a", "up")
        inside = ("ip", "netns", "exec", label)
        for address in (FAR, SECOND):
            _run(*inside, "ip", "addr", "add", f"{address}/29", "dev", f"{label}b")
        for device in (f"{label}b", "lo"):
            _run(*inside, "ip", "link", "set", device, "up")
        words = [f"{name}={','.join(each)}" for name, each in names.items()]
        process = subprocess.Popen(
            [
                *inside,
                sys.executable,
                "-m",
                "tests.support.origins",
                str(folder),
                FAR,
                SECOND,
                *words,
            ]
        )
        until_blocking((folder / "ready").exists, 20)
        yield SmallInternet(FAR, folder)
    finally:
        if process is not None:
            process.send_signal(signal.SIGTERM)
            process.wait(20)
        _run("ip", "netns", "del", label)
        subprocess.run(["ip", "link", "del", f"{label}a"], capture_output=True, check=False)
