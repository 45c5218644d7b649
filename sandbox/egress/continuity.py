"""What a door leaves for the next one, so that the sandboxes of both trust the same certificate."""

import os
import stat
from pathlib import Path

import structlog

from sandbox.egress.authority import Authority

_log = structlog.get_logger(__name__)

_LONGEST = 64 * 1024
_READING = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def authority_at(path: Path) -> Authority:
    """The authority whose key is there, which nobody but us could read; else a new one, kept."""
    try:
        return Authority(_read_own(path))
    except FileNotFoundError:
        pass
    except (OSError, ValueError) as error:
        _log.warning("the_door_begins_with_a_new_certificate", reason=str(error))
    made = Authority()
    write_whole(path, made.to_pem(), 0o600)
    return made


def _read_own(path: Path) -> bytes:
    with open(os.open(path, _READING), "rb") as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
            raise ValueError("the kept key is no file of ours")
        if found.st_mode & 0o077:
            raise ValueError("others could read the kept key")
        return file.read(_LONGEST)


def write_whole(path: Path, data: bytes, mode: int) -> None:
    """There in one piece, and never with other rights than `mode`."""
    new = path.with_suffix(".new")
    new.unlink(missing_ok=True)
    number = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(number, "wb") as file:
        file.write(data)
        os.fchmod(number, mode)
    new.replace(path)
