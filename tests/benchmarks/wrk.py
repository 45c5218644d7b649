"""wrk: load at a cost per call that is small beside the cheapest proxy's."""

import re
import shutil
import subprocess
from dataclasses import dataclass

from tests.benchmarks.processes import Cores

_UNITS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}


@dataclass(frozen=True, slots=True)
class Load:
    """What wrk saw. Latencies in milliseconds; `failed` counts answers that were no 2xx or 3xx."""

    calls: int
    seconds: float
    p50_ms: float
    p99_ms: float
    failed: int

    @property
    def calls_per_second(self) -> float:
        """Answers over the time they took."""
        return self.calls / self.seconds if self.seconds else 0.0


def missing() -> str | None:
    """Why wrk cannot be used."""
    return None if shutil.which("wrk") else "wrk is not installed"


def load(url: str, key: str, connections: int, seconds: float, cores: Cores) -> Load:
    """Keep so many calls in flight; wrk counts in whole seconds."""
    process = subprocess.Popen(
        ["wrk", "-t", "1", "-c", str(connections), "-d", f"{max(1, round(seconds))}s",
         "--latency", "-H", f"X-API-Key: {key}", url],
        stdout=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    cores.rest([process.pid])
    output = process.communicate()[0]
    if process.returncode:
        raise RuntimeError(f"wrk ended with {process.returncode}: {output}")
    return read(output)


def read(output: str) -> Load:
    """The report of one run."""
    calls = re.search(r"(\d+) requests in ([\d.]+)(us|ms|s|m)", output)
    if calls is None:
        raise ValueError(f"wrk said: {output}")
    seconds = float(calls[2]) * _UNITS[calls[3]] / 1000
    bad = sum(int(n) for n in re.findall(r"Non-2xx or 3xx responses: (\d+)", output))
    errors = re.search(r"Socket errors: (.*)", output)
    broken = sum(map(int, re.findall(r"\d+", errors[1]))) if errors else 0
    return Load(int(calls[1]), seconds, _at(output, 50), _at(output, 99), bad + broken)


def _at(output: str, percent: int) -> float:
    found = re.search(rf"^\s+{percent}%\s+([\d.]+)(us|ms|s|m)", output, re.MULTILINE)
    return float(found[1]) * _UNITS[found[2]] if found else 0.0
