"""Files in the data directory: private, written whole or not at all, one owner at a time."""

import fcntl
import json
import os
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from gateway import secrets
from gateway.cli.failures import DataDirError
from gateway.users import DOOR, GATEWAY

STAGING = "restore.new"  # what a restore builds, until it takes its place
UNFINISHED = "restore.unfinished"  # there while a restored backup takes its place


def make_data_dir(path: Path) -> None:
    """Create it private, or say why it cannot be used."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in ("logs", "journal", "uploads"):
            (path / name).mkdir(mode=0o700, exist_ok=True)
        probe = path / f".write-{uuid.uuid4().hex}"
        probe.touch(mode=0o600)
        probe.unlink()
    except OSError as error:
        raise DataDirError(
            f"the data directory {path} cannot be written ({error.strerror}); "
            "make it writable or choose another with SANDGATE_DATA_DIR"
        ) from error


def hand_over(data_dir: Path, run_dir: Path) -> None:
    """As root: give each process user its own files, and a way to them, and nothing else."""
    for folder in (data_dir, run_dir):
        folder.chmod(0o711)
    for path in (data_dir / "journal", *sorted((data_dir / "journal").iterdir())):
        with suppress(FileNotFoundError):  # the worker of a killed supervisor has just drained it
            os.chown(path, GATEWAY.uid, GATEWAY.uid, follow_symlinks=False)
    _hand_over_uploads(data_dir / "uploads")
    for name in (secrets.FILE_NAME, f"{secrets.FILE_NAME}.lock"):
        os.chown(data_dir / name, GATEWAY.uid, GATEWAY.uid, follow_symlinks=False)
    for user, name in ((GATEWAY, "data"), (GATEWAY, "gateways"), (DOOR, "door")):
        folder = run_dir / name
        folder.mkdir(mode=0o700, exist_ok=True)
        os.chown(folder, user.uid, user.uid, follow_symlinks=False)


def _hand_over_uploads(folder: Path) -> None:
    """Once, when another user ran Sandgate before; the folder itself last, as the sign of it."""
    if not folder.exists() or folder.stat().st_uid == GATEWAY.uid:
        return
    for path in sorted(folder.rglob("*"), reverse=True):
        os.chown(path, GATEWAY.uid, GATEWAY.uid, follow_symlinks=False)
    os.chown(folder, GATEWAY.uid, GATEWAY.uid, follow_symlinks=False)


def write_private(path: Path, value: Mapping[str, Any]) -> None:
    """Write JSON 0600; a reader sees the old file or the new one, never a part."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            json.dump(value, file, indent=2)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def installation_id(data_dir: Path) -> str:
    """Name of this installation, made once; sandboxes carry it as a label."""
    path = data_dir / "installation"
    if not path.exists():
        write_private(path, {"id": uuid.uuid4().hex})
    return str(json.loads(path.read_text())["id"])


@contextmanager
def sole_owner(data_dir: Path, *, unfinished: bool = False) -> Iterator[None]:
    """Hold the data directory; DataDirError when another `sandgate serve` holds it.

    One that a killed restore left half done is held only by who says `unfinished`.
    """
    with (data_dir / "serve.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.seek(0)
            holder = lock.read().strip() or "another process"
            raise DataDirError(
                f"Sandgate already runs on {data_dir} (process {holder}); stop it first, "
                "or start this one with another SANDGATE_DATA_DIR"
            ) from error
        if (data_dir / UNFINISHED).exists() and not unfinished:
            raise DataDirError(
                f"restoring a backup into {data_dir} was cut off; finish it with: "
                "sandgate restore FILE --replace"
            )
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def fresh_log(data_dir: Path, name: str, keep_bytes: int = 10 * 1024 * 1024) -> Path:
    """Path of a child's log; a large one from before is set aside."""
    path = data_dir / "logs" / f"{name}.log"
    if path.exists() and path.stat().st_size > keep_bytes:
        path.replace(path.with_suffix(".log.1"))
    return path
