"""What the file system refuses, in words with what to do; a full disk shows in many places."""

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway.cli.failures import CommandError
from gateway.errors import SandgateError
from gateway.store.archive import BackupError

_FULL = {errno.ENOSPC, errno.EDQUOT}
# Postgres says it in its log, in its answers, and through the programs that start it
_SAID = ("No space left on device", "Check free disk space")


class DiskFullError(BackupError):
    """A disk is full."""


@contextmanager
def explained(place: Path, outcome: str, *others: Path) -> Iterator[None]:
    """Told with the fullest of the places that were worked on."""
    try:
        yield
    except DiskFullError:
        raise
    except (OSError, SandgateError, CommandError) as error:
        if any(map(_tells_full, _with_causes(error))):
            where = min((place, *others), key=_free)
            raise DiskFullError(
                f"The disk of {where} is full; {outcome}. Free some space."
            ) from error
        if not isinstance(error, OSError):
            raise
        reason = f"{error.filename or place}: {error.strerror or error}; {outcome}."
        raise BackupError(f"{reason} Check the path and who may use it.") from error


def _with_causes(error: BaseException) -> Iterator[BaseException]:
    found: BaseException | None = error
    while found is not None:
        yield found
        found = found.__cause__ or found.__context__


def _tells_full(error: BaseException) -> bool:
    if isinstance(error, OSError):
        return error.errno in _FULL
    return any(said in str(error) for said in _SAID)


def _free(place: Path) -> int:
    """Bytes that are left on the disk where it is, or will be."""
    there = next(path for path in (place, *place.absolute().parents) if path.exists())
    return shutil.disk_usage(there).free
