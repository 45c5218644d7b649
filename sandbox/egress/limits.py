"""How much of the way out one sandbox, one API and everybody together may use."""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sandbox.egress.refusals import Code, RefusedError


@dataclass(frozen=True, slots=True)
class Limits:
    """All limits of one door."""

    connection_seconds: float = 300.0
    connection_bytes: int = 100 * 1024 * 1024  # both directions together
    idle_seconds: float = 60.0
    head_seconds: float = 10.0  # for the request's head, and for the first bytes of TLS
    head_bytes: int = 32 * 1024
    resolve_seconds: float = 5.0
    dial_seconds: float = 10.0
    sandbox_connections: int = 64
    api_connections: int = 128
    connections: int = 2000
    sandbox_rate: float = 50.0  # new connections a second; more wait to be accepted
    sandbox_burst: int = 100
    api_resolutions: int = 16  # waiting at the same time
    resolutions: int = 128


class Bucket:
    """So many at once, then so many a second."""

    def __init__(self, rate: float, burst: int) -> None:
        self._rate = rate
        self._burst = burst
        self._left = float(burst)
        self._at = time.monotonic()

    def take(self) -> float:
        """Take one and return 0, or the seconds until there is one."""
        now = time.monotonic()
        self._left = min(self._burst, self._left + (now - self._at) * self._rate)
        self._at = now
        if self._left < 1:
            return (1 - self._left) / self._rate
        self._left -= 1
        return 0.0


class Quota:
    """Counts what is in use at the same time, by owner and in all."""

    def __init__(self, what: str, total: int) -> None:
        self._what = what
        self._total = total
        self._used: Counter[str] = Counter()
        self._all = 0

    @contextmanager
    def one(self, *owners: tuple[str, int]) -> Iterator[None]:
        """Use one, for each owner within its own limit; RefusedError when there is none left."""
        if self._all >= self._total or any(self._used[name] >= most for name, most in owners):
            raise RefusedError(Code.LIMIT, f"too many {self._what} at the same time")
        names = [name for name, _ in owners]
        self._all += 1
        self._used.update(names)
        try:
            yield
        finally:
            self._all -= 1
            self._used.subtract(names)
            for name in names:
                if self._used[name] <= 0:
                    del self._used[name]
