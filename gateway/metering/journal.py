"""Append-only file of answered calls: written before the answer's last byte, survives `kill -9`.

A line is in the kernel's hands when `append` returns, so only a crash of the machine can
lose it; the file is not synced to the disk. Each process writes a segment of its own and
holds a lock on it; a segment whose lock is free is closed, or its writer is dead, and
anybody may drain it.
"""

import asyncio
import fcntl
import logging
import os
import secrets
import time
from collections.abc import Callable
from pathlib import Path

_log = logging.getLogger(__name__)

SUFFIX = ".jsonl"
NEW_SUFFIX = ".new"  # not locked yet, so nobody may look at it
MAX_SEGMENT_BYTES = 16 * 1024 * 1024
RETRY_SECONDS = 1.0  # between two attempts: a full disk must not fill with empty segments


class Journal:
    """The writing end. `healthy` is False from a failed write until the next good one."""

    def __init__(
        self,
        folder: Path,
        *,
        segment_seconds: float,
        clock: Callable[[], float] = time.monotonic,
        write: Callable[[int, bytes], int] = os.write,
    ) -> None:
        self._folder = folder
        self._segment_seconds = segment_seconds
        self._clock = clock
        self._write = write
        self._segment: int | None = None
        self._size = 0
        self._opened_at = 0.0
        self._try_again_at = 0.0
        self.healthy = True
        self.errors = 0  # calls that were answered and not recorded

    def open(self) -> None:
        """Make the folder and the first segment, so that trouble shows at start."""
        try:
            self._reopen()
        except OSError as error:
            self._failed(error)
            self.errors = 0  # no call was lost

    def append(self, line: bytes) -> bool:
        """Hand one whole line to the kernel; False, counted and logged, when that fails."""
        try:
            segment = self._segment
            if segment is None:
                segment = self._reopen()
            written = self._write(segment, line)
        except OSError as error:
            self._failed(error)
            return False
        if written != len(line):
            self._failed(OSError(f"only {written} of {len(line)} bytes fitted"))
            return False
        self._size += written
        if not self.healthy:
            self.healthy = True
            _log.warning("the journal is written again; %d calls were not recorded", self.errors)
        if self._size > MAX_SEGMENT_BYTES:
            self.rotate()
        return True

    def rotate(self) -> None:
        """Let go of a segment that holds something, so that it can be drained."""
        if self._segment is None or self._size == 0:
            return
        self._close_segment()

    async def run(self) -> None:
        """Rotate what is old enough, until cancelled."""
        while True:
            await asyncio.sleep(self._segment_seconds / 2)
            self.rotate_old()

    def rotate_old(self) -> None:
        """Rotate when the segment is older than its time."""
        if self._clock() - self._opened_at >= self._segment_seconds:
            self.rotate()

    def close(self) -> None:
        """Let go of the open segment; an empty one is removed by whoever drains."""
        if self._segment is not None:
            self._close_segment()

    def _reopen(self) -> int:
        if self._clock() < self._try_again_at:
            raise OSError("no segment could be opened a moment ago")
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return self._open_segment()

    def _open_segment(self) -> int:
        """Lock it under a name that nobody drains, then show it."""
        name = f"{time.time_ns()}-{os.getpid()}-{secrets.token_hex(4)}"
        hidden = self._folder / (name + NEW_SUFFIX)
        segment = os.open(hidden, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            fcntl.flock(segment, fcntl.LOCK_EX | fcntl.LOCK_NB)
            hidden.rename(self._folder / (name + SUFFIX))
        except OSError:
            os.close(segment)
            raise
        self._segment, self._size, self._opened_at = segment, 0, self._clock()
        return segment

    def _failed(self, error: OSError) -> None:
        """Give up the segment: what was torn in it is dropped when it is drained."""
        self.errors += 1
        if self.healthy:
            _log.error("the journal cannot be written, calls go unrecorded: %s", error)
        self.healthy = False
        if self._clock() >= self._try_again_at:
            self._try_again_at = self._clock() + RETRY_SECONDS
        self.close()

    def _close_segment(self) -> None:
        segment, self._segment, self._size = self._segment, None, 0
        if segment is not None:
            os.close(segment)  # frees its lock
