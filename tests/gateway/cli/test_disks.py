"""A full disk is told as one, whoever noticed it."""

import errno
from pathlib import Path

import pytest

from gateway.cli.disks import DiskFullError, explained
from gateway.cli.failures import CommandError
from gateway.store.archive import BackupError
from gateway.store.binaries import PostgresStartError
from gateway.store.database import DatabaseError, DatabaseUnavailableError

FULL = OSError(errno.ENOSPC, "No space left on device")


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    "error",
    [
        FULL,
        PostgresStartError("Postgres ended at once.\nFATAL: …: No space left on device"),
        PostgresStartError("initdb failed: … HINT:  Check free disk space."),
        caused(DatabaseError("53100", "could not extend file"), Exception(str(FULL))),
        caused(DatabaseUnavailableError(), FULL),
    ],
)
def test_a_full_disk_is_told_in_words(tmp_path: Path, error: Exception) -> None:
    with pytest.raises(DiskFullError) as caught, explained(tmp_path / "x", "nothing was changed"):
        raise error
    assert caught.value.detail == (
        f"The disk of {tmp_path / 'x'} is full; nothing was changed. Free some space."
    )


def test_it_is_told_once(tmp_path: Path) -> None:
    with (
        pytest.raises(DiskFullError, match="inner"),
        explained(tmp_path / "outer", "outer"),
        explained(tmp_path / "inner", "inner"),
    ):
        raise FULL


def test_other_failures_stay_what_they_are(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="as it was"), explained(tmp_path, "nothing"):
        raise CommandError("as it was")
    with pytest.raises(BackupError, match="who may use it"), explained(tmp_path, "nothing"):
        raise PermissionError(errno.EACCES, "Permission denied", "somewhere")
