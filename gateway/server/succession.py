"""A gateway that may not count beside its predecessor: it comes up as far as that, and waits.

Limits in memory are one process's own. Were two to admit calls at once, each would let through
what the other has let through already. The listener stays open, so callers wait in its queue.
"""

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SUFFIX = ".waiting"
_LOOK_SECONDS = 0.02


def marker(socket: Path) -> Path:
    """Where a gateway with this private socket says that it waits."""
    return socket.with_suffix(SUFFIX)


async def is_my_turn(predecessor: int, waiting: Path, stop: asyncio.Event) -> bool:
    """True once that process is gone; False when told to stop before."""
    with _said(waiting):
        while _lives(predecessor):
            if stop.is_set():
                return False
            await asyncio.sleep(_LOOK_SECONDS)
    return not stop.is_set()


@contextmanager
def _said(waiting: Path) -> Iterator[None]:
    waiting.parent.mkdir(mode=0o700, exist_ok=True)
    waiting.touch()
    try:
        yield
    finally:
        waiting.unlink(missing_ok=True)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, PermissionError):  # the number of somebody else's by now
        return False
    return True
