"""Append-only file of answered calls: written before the answer's last byte, survives `kill -9`.

A line is in the kernel's hands when it is reported as written, so only a crash of the machine
can lose it; `Fsync` says how much. Each process writes a segment of its own and holds a lock on
it; a segment whose lock is free is closed, or its writer is dead, and anybody may drain it.
"""

import asyncio
import fcntl
import os
import secrets
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

import structlog

from gateway.metering.syncing import Fsync, Syncer

_log = structlog.get_logger(__name__)

SUFFIX = ".jsonl"
NEW_SUFFIX = ".new"  # not locked yet, so nobody may look at it
MAX_SEGMENT_BYTES = 16 * 1024 * 1024
RETRY_SECONDS = 1.0  # between two attempts: a full disk must not fill with empty segments
PROBE_BYTES = 4096

Done = Callable[[bool], None]
Waiting = list[tuple[bytes, Done]]


@dataclass(frozen=True, slots=True)
class _InSync:
    """Lines that the kernel has and the disk is asked for.

    The descriptor is a copy, so that they can be taken back when the segment was let go
    meanwhile; it holds the segment's lock as well.
    """

    future: Future[None]
    batch: Waiting
    segment: int
    start: int
    end: int


class Journal:
    """The writing end. `healthy` is False from a failed write until one goes through again."""

    def __init__(
        self,
        folder: Path,
        *,
        segment_seconds: float,
        clock: Callable[[], float] = time.monotonic,
        write: Callable[[int, bytes], int] = os.write,
        fsync: Fsync = Fsync.OFF,
        sync: Callable[[int], None] = os.fdatasync,
    ) -> None:
        self._folder = folder
        self._segment_seconds = segment_seconds
        self._clock = clock
        self._write = write
        self._fsync = fsync
        self._syncer = Syncer(folder, sync)
        self._segment: int | None = None
        self._size = 0
        self._opened_at = 0.0
        self._try_again_at = 0.0
        self._waiting: Waiting = []  # committed in this tick of the loop
        self._in_sync: _InSync | None = None
        self.healthy = True
        self.errors = 0  # calls that were answered and not recorded

    def open(self) -> None:
        """Make the folder and the first segment, so that trouble shows at start."""
        try:
            self._reopen()
        except OSError as error:
            self._failed(error, 0)

    # --- writing ---

    def append(self, line: bytes) -> bool:
        """Hand one whole line to the kernel; False, counted and logged, when that fails.

        With `Fsync.ALWAYS` it waits for the disk: use `commit` where calls are many.
        """
        start = self._size
        is_written = self._write_lines((line,)) == 1
        if is_written and self._fsync is Fsync.ALWAYS:
            is_written = self._sync_here(1, start)
        self._rotate_full()
        return is_written

    def commit(self, line: bytes, done: Done) -> None:
        """Write it together with all other lines of this tick of the loop, then say how it went.

        `done(True)` comes when the whole line is where the policy wants it, `done(False)` when
        it is not; each exactly once, in the order of the lines. After a torn write the lines
        before the tear count. While the disk is synced, the next lines gather.
        """
        self._waiting.append((line, done))
        if len(self._waiting) == 1 and self._in_sync is None:
            asyncio.get_running_loop().call_soon(self.flush)

    def flush(self) -> None:
        """Write what was committed, now."""
        if self._in_sync is not None or not self._waiting:
            return
        batch, self._waiting = self._waiting, []
        start = self._size
        whole = self._write_lines([line for line, _ in batch])
        if self._fsync is Fsync.ALWAYS and whole and self._segment is not None:
            self._begin_sync(self._segment, batch, start)
        else:
            tell(batch, whole)
            self._rotate_full()

    # --- segments ---

    def rotate(self) -> None:
        """Let go of a segment that holds something, so that it can be drained."""
        if self._segment is not None and self._size > 0:
            self._close_segment()

    async def run(self) -> None:
        """Rotate what is old enough and look after a disk that failed, until cancelled."""
        while True:
            await asyncio.sleep(self._segment_seconds / 2)
            self.rotate_old()
            self.probe()

    def rotate_old(self) -> None:
        """Rotate when the segment is older than its time."""
        if self._clock() - self._opened_at >= self._segment_seconds:
            self.rotate()

    def probe(self) -> None:
        """When the last write failed: would one go through now?

        Else nothing would find out while only priced calls come, which are refused meanwhile.
        """
        if self.healthy:
            return
        path = self._folder / f"{os.getpid()}-{secrets.token_hex(4)}{NEW_SUFFIX}"
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                is_well = self._write(descriptor, bytes(PROBE_BYTES)) == PROBE_BYTES
            finally:
                os.close(descriptor)
                path.unlink()
        except OSError:
            return
        if is_well:
            self._try_again_at = 0.0
            self._well()

    def close(self) -> None:
        """Write what waits, let go of the open segment; an empty one goes with the next drain."""
        self._syncer.wait()
        self._settle()
        batch, self._waiting = self._waiting, []
        if batch:
            start = self._size
            whole = self._write_lines([line for line, _ in batch])
            is_open = self._segment is not None  # else it was torn, and synced up to the tear
            if self._fsync is Fsync.ALWAYS and is_open and not self._sync_here(whole, start):
                whole = 0
            tell(batch, whole)
        if self._segment is not None:
            self._close_segment()
        self._syncer.wait()

    # --- inside ---

    def _write_lines(self, lines: Sequence[bytes]) -> int:
        """One write for all of them; answers how many the kernel has in full."""
        data = lines[0] if len(lines) == 1 else b"".join(lines)
        try:
            segment = self._segment
            if segment is None:
                segment = self._reopen()
            written = self._write(segment, data)
        except OSError as error:
            self._failed(error, len(lines))
            return 0
        start = self._size
        self._size += written
        if written != len(data):
            whole = whole_lines(lines, written)
            if whole and self._fsync is Fsync.ALWAYS and not self._sync_here(len(lines), start):
                return 0
            torn = OSError(f"only {written} of {len(data)} bytes fitted")
            self._failed(torn, len(lines) - whole)
            return whole
        if not self.healthy:
            self._well()
        return len(lines)

    def _rotate_full(self) -> None:
        if self._size > MAX_SEGMENT_BYTES:
            self.rotate()

    def _begin_sync(self, segment: int, batch: Waiting, start: int) -> None:
        """Ask the disk, in a thread, for what lies from `start` on."""
        try:
            copy = os.dup(segment)
        except OSError as error:
            take_back(segment, start, self._size)
            self._failed(error, len(batch))
            tell(batch, 0)
            return
        loop = asyncio.get_running_loop()
        synced = self._syncer.in_thread(copy)
        self._in_sync = _InSync(synced, batch, copy, start, self._size)
        synced.add_done_callback(lambda _: loop.call_soon_threadsafe(self._synced))

    def _sync_here(self, lines: int, start: int) -> bool:
        """Wait for the disk in this very thread; what it refuses is taken back from `start` on."""
        if self._segment is None:
            return False
        try:
            self._syncer.here(self._segment)
        except OSError as error:
            take_back(self._segment, start, self._size)
            self._failed(error, lines)
            return False
        return True

    def _synced(self) -> None:
        """The disk has answered; what gathered meanwhile is next."""
        self._settle()
        self._rotate_full()
        self.flush()

    def _settle(self) -> None:
        """Say so, or take the lines back: nobody pays for what failed."""
        ended = self._in_sync
        if ended is None or not ended.future.done():
            return
        self._in_sync = None
        error = ended.future.exception()
        if error is not None:
            take_back(ended.segment, ended.start, ended.end)
            self._failed(OSError(f"the disk did not take it: {error}"), len(ended.batch))
        os.close(ended.segment)
        tell(ended.batch, 0 if error is not None else len(ended.batch))

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
        self._syncer.new_segment()
        return segment

    def _well(self) -> None:
        if not self.healthy:
            self.healthy = True
            _log.warning("journal_written_again", unrecorded=self.errors)

    def _failed(self, error: OSError, lost: int) -> None:
        """Give up the segment: what was torn in it is dropped when it is drained."""
        self.errors += lost
        if self.healthy:
            _log.error("journal_not_written", error=str(error))
        self.healthy = False
        if self._clock() >= self._try_again_at:
            self._try_again_at = self._clock() + RETRY_SECONDS
        if self._segment is not None:
            self._close_segment()

    def _close_segment(self) -> None:
        """Free its lock, once it is on the disk if that is the policy."""
        segment, size = self._segment, self._size
        self._segment, self._size = None, 0
        if segment is None:
            return
        if self._fsync is Fsync.INTERVAL and size > 0:
            self._syncer.then_close(segment)
        else:
            os.close(segment)


def whole_lines(lines: Sequence[bytes], written: int) -> int:
    """How many of the lines lie in full within the bytes that were written."""
    whole = 0
    for line in lines:
        written -= len(line)
        if written < 0:
            break
        whole += 1
    return whole


def take_back(segment: int, start: int, end: int) -> None:
    """Remove what is told not to be written, unless more lies behind it."""
    try:
        if os.fstat(segment).st_size == end:
            os.ftruncate(segment, start)
    except OSError as error:
        _log.error("journal_not_taken_back", error=str(error))


def tell(batch: Waiting, whole: int) -> None:
    """Say to each whether it was written; one that fails keeps nothing from the others."""
    for position, (_, done) in enumerate(batch):
        try:
            done(position < whole)
        except Exception:  # noqa: BLE001 - a bug there is that one call's
            _log.exception("record_not_followed")
