"""The journal: whole lines in the kernel's hands, one locked segment per writer."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.metering.journal import Journal
from gateway.metering.segments import batches, locked, segments


class Clock:
    """Time, moved by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        """Now."""
        return self.now


class Disk:
    """`os.write` that can fail, or write less than asked."""

    def __init__(self) -> None:
        self.error: int | None = None
        self.fits: int | None = None

    def __call__(self, segment: int, line: bytes) -> int:
        """Write."""
        if self.error is not None:
            raise OSError(self.error, os.strerror(self.error))
        return os.write(segment, line if self.fits is None else line[: self.fits])


@pytest.fixture
def clock() -> Clock:
    """At zero."""
    return Clock()


@pytest.fixture
def disk() -> Disk:
    """In order."""
    return Disk()


@pytest.fixture
def journal(tmp_path: Path, clock: Clock, disk: Disk) -> Journal:
    """Segments of one second."""
    made = Journal(tmp_path / "journal", segment_seconds=1, clock=clock, write=disk)
    made.open()
    return made


def content(folder: Path) -> bytes:
    """Everything in all segments, in their order."""
    return b"".join(path.read_bytes() for path in segments(folder / "journal"))


def test_a_line_is_in_the_file_when_append_returns(journal: Journal, tmp_path: Path) -> None:
    """Nothing is kept back in this process."""
    assert journal.append(b"one\n")
    assert content(tmp_path) == b"one\n"


def test_the_folder_and_segments_are_the_owners_alone(journal: Journal, tmp_path: Path) -> None:
    """0700 and 0600."""
    journal.append(b"one\n")
    assert (tmp_path / "journal").stat().st_mode & 0o777 == 0o700
    assert segments(tmp_path / "journal")[0].stat().st_mode & 0o777 == 0o600


def test_an_open_segment_is_locked_and_a_rotated_one_is_not(
    journal: Journal, tmp_path: Path, clock: Clock
) -> None:
    """So whoever drains takes only what is complete."""
    journal.append(b"one\n")
    (path,) = segments(tmp_path / "journal")
    with locked(path) as file:
        assert file is None
    clock.now = 1.0
    journal.rotate_old()
    with locked(path) as file:
        assert file is not None
        assert file.read() == b"one\n"
    journal.append(b"two\n")
    assert content(tmp_path) == b"one\ntwo\n"
    assert len(segments(tmp_path / "journal")) == 2


def test_a_young_or_empty_segment_is_not_rotated(
    journal: Journal, tmp_path: Path, clock: Clock
) -> None:
    """An idle gateway makes no files."""
    clock.now = 100.0
    for _ in range(5):
        journal.rotate_old()
    assert len(segments(tmp_path / "journal")) == 1


def test_a_segment_is_locked_before_it_appears_under_its_name(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it could be drained and removed while it is being written."""
    locks: list[bool] = []
    rename = Path.rename

    def look_first(path: Path, target: Path) -> Path:
        with locked(path) as file:
            locks.append(file is None)
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", look_first)
    journal.append(b"one\n")
    journal.rotate()
    journal.append(b"two\n")
    assert locks == [True]


def test_a_full_disk_is_counted_and_seen_and_ends_by_itself(
    journal: Journal, tmp_path: Path, disk: Disk, clock: Clock
) -> None:
    """Calls are answered meanwhile; `healthy` tells. No heap of empty segments is left."""
    assert journal.append(b"one\n")
    disk.error = errno.ENOSPC
    assert not journal.append(b"lost\n")
    assert not journal.append(b"lost\n")
    assert (journal.healthy, journal.errors) == (False, 2)
    assert len(segments(tmp_path / "journal")) == 1
    disk.error = None
    clock.now = 1.0
    assert journal.append(b"two\n")
    assert (journal.healthy, journal.errors) == (True, 2)
    assert content(tmp_path) == b"one\ntwo\n"


def test_a_torn_line_never_touches_the_next_one(
    journal: Journal, tmp_path: Path, disk: Disk, clock: Clock
) -> None:
    """A segment in which a line was torn gets no other line."""
    journal.append(b"one\n")
    disk.fits = 3
    assert not journal.append(b"torn line\n")
    disk.fits = None
    clock.now = 1.0
    assert journal.append(b"two\n")
    lines: list[bytes] = []
    journal.close()
    for path in segments(tmp_path / "journal"):
        with locked(path) as file:
            assert file is not None
            for batch in batches(file, 10):
                lines += batch
    assert lines == [b"one\n", b"two\n"]


def test_a_folder_that_cannot_be_made_is_seen_at_start(tmp_path: Path) -> None:
    """And nothing is raised: the gateway comes up and says so."""
    (tmp_path / "journal").write_text("a file is in the way")
    journal = Journal(tmp_path / "journal", segment_seconds=1, clock=Clock())
    journal.open()
    assert not journal.healthy
    assert not journal.append(b"lost\n")


def test_opening_is_not_tried_for_every_call(tmp_path: Path, clock: Clock) -> None:
    """But again after a second."""
    obstacle = tmp_path / "journal"
    obstacle.write_text("a file is in the way")
    journal = Journal(obstacle, segment_seconds=1, clock=clock)
    assert not journal.append(b"lost\n")
    obstacle.unlink()
    assert not journal.append(b"lost\n")
    clock.now = 1.0
    assert journal.append(b"one\n")
    assert journal.healthy


def test_lines_survive_kill_9_of_their_writer(tmp_path: Path) -> None:
    """And the dead writer's segment is free to drain."""
    script = (
        "import sys\nfrom pathlib import Path\nfrom gateway.metering.journal import Journal\n"
        "journal = Journal(Path(sys.argv[1]), segment_seconds=3600)\n"
        "journal.open()\n"
        "for n in range(100): journal.append(b'%d\\n' % n)\n"
        "print('written', flush=True)\n"
        "sys.stdin.read()\n"
    )
    folder = tmp_path / "journal"
    writer = subprocess.Popen(
        [sys.executable, "-c", script, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[3],
    )
    assert writer.stdout is not None
    assert writer.stdin is not None
    assert writer.stdout.readline() == b"written\n"
    (path,) = segments(folder)
    with locked(path) as file:
        assert file is None
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    writer.stdin.close()
    writer.stdout.close()
    with locked(path) as file:
        assert file is not None
        assert file.read().split() == [b"%d" % n for n in range(100)]
