"""Unix time that never jumps: read once, then carried on by a clock nobody can set."""

import time
from collections.abc import Callable


def steady_clock() -> Callable[[], float]:
    """A clock for one process. It counts suspended time where the system can tell (Linux)."""
    elapsed = time.CLOCK_BOOTTIME if hasattr(time, "CLOCK_BOOTTIME") else time.CLOCK_MONOTONIC
    offset = time.time() - time.clock_gettime(elapsed)
    return lambda: offset + time.clock_gettime(elapsed)
