"""Group commit: one write for a tick of the loop, and an exact answer for each line."""

import asyncio
import errno
import os
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.metering.journal import Journal, whole_lines
from gateway.metering.segments import batches, locked, segments
from gateway.metering.syncing import Fsync
from tests.support.waiting import until


class Disk:
    """`os.write` and `os.fdatasync` that count and fail as told."""

    def __init__(self, fits: list[int | None] | None = None) -> None:
        self.writes: list[bytes] = []
        self.syncs = 0
        self.fits = fits or []  # bytes each next write takes; None fails, the rest goes through
        self.sync_fails = False
        self.before_sync: Callable[[], object] = lambda: None

    def write(self, segment: int, data: bytes) -> int:
        """Write all of it, a part, or nothing."""
        if self.fits:
            fits = self.fits.pop(0)
            if fits is None:
                raise OSError(errno.ENOSPC, "full")
            data = data[:fits]
        self.writes.append(data)
        return os.write(segment, data)

    def sync(self, _: int) -> None:
        """Sync."""
        self.before_sync()
        if self.sync_fails:
            raise OSError(errno.EIO, "broken")
        self.syncs += 1


class Told:
    """What was said about each line, in order."""

    def __init__(self) -> None:
        self.said: list[tuple[bytes, bool]] = []

    def commit(self, journal: Journal, line: bytes) -> None:
        """Commit, and remember the outcome."""
        journal.commit(line, lambda ok: self.said.append((line, ok)))


def read_only(*_: int) -> int:
    """What a disk answers that can no longer be written."""
    raise OSError(errno.EROFS, "read only")


def journal_on(folder: Path, disk: Disk, fsync: Fsync = Fsync.OFF) -> Journal:
    """With segments that nobody rotates, opened again at once."""
    clock = iter(range(10**6))
    return Journal(
        folder / "journal",
        segment_seconds=1e9,
        clock=lambda: float(next(clock) * 10),
        write=disk.write,
        fsync=fsync,
        sync=disk.sync,
    )


def drained(folder: Path) -> list[bytes]:
    """What whoever drains finds in closed segments."""
    lines: list[bytes] = []
    for path in segments(folder / "journal"):
        with locked(path) as file:
            assert file is not None
            for batch in batches(file, 1000):
                lines += batch
    return lines


async def test_lines_of_one_tick_are_one_write(tmp_path: Path) -> None:
    disk, told = Disk(), Told()
    journal = journal_on(tmp_path, disk)
    for line in (b"one\n", b"two\n", b"three\n"):
        told.commit(journal, line)
    assert told.said == []
    await asyncio.sleep(0)
    assert disk.writes == [b"one\ntwo\nthree\n"]
    assert told.said == [(b"one\n", True), (b"two\n", True), (b"three\n", True)]


async def test_a_line_is_in_the_file_when_it_is_told(tmp_path: Path) -> None:
    journal = journal_on(tmp_path, Disk())
    seen: list[bytes] = []
    journal.commit(b"one\n", lambda _: seen.append(segments(tmp_path / "journal")[0].read_bytes()))
    await asyncio.sleep(0)
    assert seen == [b"one\n"]


async def test_closing_writes_what_waits(tmp_path: Path) -> None:
    told = Told()
    journal = journal_on(tmp_path, Disk())
    told.commit(journal, b"one\n")
    journal.close()
    assert told.said == [(b"one\n", True)]
    assert drained(tmp_path) == [b"one\n"]


async def test_one_that_fails_afterwards_keeps_nothing_from_the_others(tmp_path: Path) -> None:
    told = Told()
    journal = journal_on(tmp_path, Disk())

    def fail(_: bool) -> None:
        raise ValueError

    journal.commit(b"one\n", fail)
    told.commit(journal, b"two\n")
    await asyncio.sleep(0)
    assert told.said == [(b"two\n", True)]


async def test_lines_before_a_tear_count_and_the_rest_does_not(tmp_path: Path) -> None:
    told = Told()
    journal = journal_on(tmp_path, Disk([6]))
    for line in (b"one\n", b"two\n", b"three\n"):
        told.commit(journal, line)
    await asyncio.sleep(0)
    assert told.said == [(b"one\n", True), (b"two\n", False), (b"three\n", False)]
    assert (journal.healthy, journal.errors) == (False, 2)
    assert drained(tmp_path) == [b"one\n"]


async def test_a_tear_at_the_very_end_is_told_as_it_is(tmp_path: Path) -> None:
    """What waits is written when the journal is closed; the disk is full there."""
    told = Told()
    journal = journal_on(tmp_path, Disk([6]), Fsync.ALWAYS)
    told.commit(journal, b"one\n")
    told.commit(journal, b"two\n")
    journal.close()
    assert told.said == [(b"one\n", True), (b"two\n", False)]
    assert drained(tmp_path) == [b"one\n"]


LINES = st.lists(st.lists(st.integers(1, 40), min_size=1, max_size=6), min_size=1, max_size=8)


@settings(max_examples=60, deadline=None)
@given(ticks=LINES, fits=st.lists(st.none() | st.integers(0, 120), max_size=8), each=st.booleans())
async def test_what_is_told_is_what_can_be_drained(
    ticks: list[list[int]], fits: list[int | None], each: bool
) -> None:
    """For every way in which writes fall short: told true if and only if the line is there."""
    with tempfile.TemporaryDirectory() as name:
        folder, told = Path(name), Told()
        journal = journal_on(folder, Disk(list(fits)), Fsync.ALWAYS if each else Fsync.OFF)
        expected: list[bytes] = []
        for tick, sizes in enumerate(ticks):
            for position, size in enumerate(sizes):
                line = b"%d.%d" % (tick, position) + b"x" * size + b"\n"
                expected.append(line)
                told.commit(journal, line)
            await asyncio.sleep(0)
        journal.close()
        assert [line for line, _ in told.said] == expected
        assert drained(folder) == [line for line, ok in told.said if ok]


@given(sizes=st.lists(st.integers(1, 9), max_size=9), written=st.integers(0, 90))
def test_whole_lines(sizes: list[int], written: int) -> None:
    lines = [b"x" * size for size in sizes]
    whole = whole_lines(lines, written)
    assert sum(sizes[:whole]) <= written
    assert whole == len(sizes) or sum(sizes[: whole + 1]) > written


# --- a disk that failed ---


async def test_a_disk_that_is_well_again_is_found_without_any_call(tmp_path: Path) -> None:
    disk = Disk([None, None])
    journal = journal_on(tmp_path, disk)
    assert not journal.append(b"lost\n")
    journal.probe()
    assert not journal.healthy
    journal.probe()
    assert journal.healthy
    assert [path.suffix for path in (tmp_path / "journal").iterdir()] == [".jsonl"]
    assert journal.append(b"one\n")


# --- onto the disk ---


async def test_always_tells_after_the_sync_and_syncs_once_for_a_tick(tmp_path: Path) -> None:
    disk, told = Disk(), Told()
    journal = journal_on(tmp_path, disk, Fsync.ALWAYS)
    for line in (b"one\n", b"two\n"):
        told.commit(journal, line)
    syncs: list[int] = []
    journal.commit(b"three\n", lambda _: syncs.append(disk.syncs))
    while not syncs:
        await asyncio.sleep(0)
    assert told.said == [(b"one\n", True), (b"two\n", True)]
    assert syncs == [2]  # the lines, and the new file's name in its folder
    assert len(disk.writes) == 1


async def test_lines_that_come_during_a_sync_go_with_the_next(tmp_path: Path) -> None:
    disk, told = Disk(), Told()
    journal = journal_on(tmp_path, disk, Fsync.ALWAYS)
    told.commit(journal, b"one\n")
    await asyncio.sleep(0)
    told.commit(journal, b"two\n")
    told.commit(journal, b"three\n")
    while len(told.said) < 3:
        await asyncio.sleep(0)
    assert disk.writes == [b"one\n", b"two\nthree\n"]


async def test_a_sync_that_fails_takes_the_lines_back(tmp_path: Path) -> None:
    disk, told = Disk(), Told()
    journal = journal_on(tmp_path, disk, Fsync.ALWAYS)
    assert journal.append(b"one\n")
    disk.sync_fails = True
    told.commit(journal, b"two\n")
    while not told.said:
        await asyncio.sleep(0)
    assert told.said == [(b"two\n", False)]
    assert not journal.healthy
    journal.close()
    assert drained(tmp_path) == [b"one\n"]


async def test_a_sync_that_fails_takes_a_line_back_that_was_not_waited_for(tmp_path: Path) -> None:
    """The end of a stream is written without a wait."""
    disk = Disk()
    journal = journal_on(tmp_path, disk, Fsync.ALWAYS)
    assert journal.append(b"one\n")
    disk.sync_fails = True
    assert not journal.append(b"two\n")
    journal.close()
    assert drained(tmp_path) == [b"one\n"]


async def test_a_tear_that_cannot_be_synced_takes_all_of_it_back(tmp_path: Path) -> None:
    disk, told = Disk([None, 6]), Told()
    journal = journal_on(tmp_path, disk, Fsync.ALWAYS)
    assert not journal.append(b"lost\n")
    disk.sync_fails = True
    told.commit(journal, b"one\n")
    told.commit(journal, b"two\n")
    await asyncio.sleep(0)
    assert told.said == [(b"one\n", False), (b"two\n", False)]
    journal.close()
    assert drained(tmp_path) == []


async def test_closing_takes_back_what_cannot_be_synced(tmp_path: Path) -> None:
    disk, told = Disk(), Told()
    journal = journal_on(tmp_path, disk, Fsync.ALWAYS)
    disk.sync_fails = True
    told.commit(journal, b"one\n")
    journal.close()
    assert told.said == [(b"one\n", False)]
    assert drained(tmp_path) == []


async def test_lines_are_taken_back_from_a_segment_that_was_let_go(tmp_path: Path) -> None:
    """Its time was over while the disk was still asked."""
    disk, told, asked = Disk(), Told(), threading.Event()
    journal = journal_on(tmp_path, disk, Fsync.ALWAYS)
    assert journal.append(b"one\n")
    disk.sync_fails, disk.before_sync = True, lambda: asked.wait(10)
    told.commit(journal, b"two\n")
    await asyncio.sleep(0)
    journal.rotate()
    asked.set()
    await until(lambda: bool(told.said))
    assert told.said == [(b"two\n", False)]
    journal.close()
    assert drained(tmp_path) == [b"one\n"]


async def test_callers_are_told_when_lines_cannot_be_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk has become one that is only read; nobody waits for ever."""
    disk, told = Disk(), Told()
    journal = journal_on(tmp_path, disk, Fsync.ALWAYS)
    disk.sync_fails = True
    monkeypatch.setattr(os, "ftruncate", read_only)
    told.commit(journal, b"one\n")
    await until(lambda: bool(told.said))
    assert told.said == [(b"one\n", False)]
    journal.close()


async def test_callers_are_told_when_no_sync_can_be_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No descriptor is left."""
    told = Told()
    journal = journal_on(tmp_path, Disk(), Fsync.ALWAYS)
    with monkeypatch.context() as patched:
        patched.setattr(os, "dup", read_only)
        told.commit(journal, b"one\n")
        await asyncio.sleep(0)
    assert told.said == [(b"one\n", False)]
    journal.close()
    assert drained(tmp_path) == []


async def test_interval_syncs_what_came_before_a_tear(tmp_path: Path) -> None:
    """It was told to be written."""
    disk, told = Disk([6]), Told()
    journal = journal_on(tmp_path, disk, Fsync.INTERVAL)
    told.commit(journal, b"one\n")
    told.commit(journal, b"two\n")
    await asyncio.sleep(0)
    journal.close()
    assert told.said == [(b"one\n", True), (b"two\n", False)]
    assert disk.syncs == 2


async def test_interval_syncs_a_segment_before_its_lock_is_free(tmp_path: Path) -> None:
    disk = Disk()
    journal = journal_on(tmp_path, disk, Fsync.INTERVAL)
    journal.append(b"one\n")
    assert disk.syncs == 0
    journal.rotate()
    journal.close()
    assert disk.syncs == 2
    assert drained(tmp_path) == [b"one\n"]


@pytest.mark.parametrize("fsync", list(Fsync))
async def test_nothing_is_left_open(tmp_path: Path, fsync: Fsync) -> None:
    """Copies of descriptors are closed as well."""
    before = len(os.listdir("/proc/self/fd"))
    journal = journal_on(tmp_path, Disk(), fsync)
    told = Told()
    for _ in range(3):
        told.commit(journal, b"one\n")
        while len(told.said) % 3:
            await asyncio.sleep(0)
        journal.rotate()
    journal.close()
    assert len(os.listdir("/proc/self/fd")) == before
