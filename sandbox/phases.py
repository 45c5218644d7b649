"""Measures the phases of one start."""

import time
from collections.abc import Callable

from sandbox.types import StartTimes


class Stopwatch:
    """Each lap adds the time since the last one to a phase; a repeated phase adds up."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._last = clock()
        self._seconds = {"queued": 0.0, "claimed": 0.0, "code": 0.0, "ready": 0.0}
        self.is_warm = False

    def lap(self, phase: str) -> None:
        """This phase ends now."""
        now = self._clock()
        self._seconds[phase] += now - self._last
        self._last = now

    def times(self) -> StartTimes:
        """All phases so far."""
        return StartTimes(**self._seconds, is_warm=self.is_warm)

    def log_fields(self) -> dict[str, float | bool]:
        """For one line of the log."""
        rounded = {phase: round(seconds, 4) for phase, seconds in self._seconds.items()}
        return {**rounded, "seconds": round(sum(self._seconds.values()), 4), "warm": self.is_warm}
