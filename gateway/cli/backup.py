"""`sandgate backup`: everything an installation has in one file, of one moment, while it serves."""

import asyncio
import fcntl
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import IO

from gateway import secrets
from gateway.cli import first_run
from gateway.cli.admin import running_postgres
from gateway.cli.disks import explained
from gateway.metering import segments
from gateway.settings import Settings
from gateway.store.archive import PIECE_BYTES, ArchiveWriter, BackupError, Manifest
from gateway.store.dump import dump, snapshot
from gateway.store.embedded import EmbeddedPostgres

DATABASE = "database.dump"
SECRETS = (secrets.FILE_NAME, first_run.FILE)
UPLOADS = "uploads"
JOURNAL = "journal"

Say = Callable[[str], None]


async def backup(
    settings: Settings, target: Path, *, with_secrets: bool, overwrite: bool, say: Say
) -> Manifest:
    """Write `target`; it is there whole, or not at all."""
    data_dir = settings.data_dir
    if not data_dir.is_dir():
        raise BackupError(f"There is nothing in {data_dir}; set SANDGATE_DATA_DIR.")
    failed = explained(target, "the backup was not made", data_dir)
    with failed, fresh(target, overwrite) as file:
        async with running_postgres(data_dir) as server:
            return await _write(file, settings, server, with_secrets=with_secrets, say=say)


async def _write(
    file: IO[bytes],
    settings: Settings,
    server: EmbeddedPostgres,
    *,
    with_secrets: bool,
    say: Say,
) -> Manifest:
    data_dir = settings.data_dir
    writer = ArchiveWriter(file)

    def add(name: str, pieces: Iterable[bytes]) -> None:
        part = writer.add(name, pieces)
        say(f"  {name}  {size_text(part.bytes)}")

    # first the journal: a call that is stored meanwhile is in both, which storing again mends
    for path in segments.segments(data_dir / JOURNAL):
        if lines := _whole_lines(path):
            add(f"{JOURNAL}/{path.name}", [lines])
    async with snapshot(server) as taken:
        await asyncio.to_thread(add, DATABASE, dump(server, taken))
    # files of uploads never change: those the database names were there at its moment
    for path in sorted((data_dir / UPLOADS).rglob("*")):
        if path.is_file() and not path.is_symlink():
            await asyncio.to_thread(add, path.relative_to(data_dir).as_posix(), _content(path))
    for name in SECRETS if with_secrets else ():
        if (data_dir / name).exists():
            add(name, [(data_dir / name).read_bytes()])
    say("  checking what was written")
    return await asyncio.to_thread(
        writer.finish,
        made_at=datetime.now(UTC).isoformat(timespec="seconds"),
        sandgate=version("sandgate"),
        postgres=taken.postgres,
        schema=taken.schema,
        needs=_given(settings),
    )


def _given(settings: Settings) -> list[str]:
    """Secrets that are not in the data directory because the environment gave them."""
    given = {"SECRETS_KEY": settings.secrets_key, "ADMIN_API_KEY": settings.admin_api_key}
    return [name for name, value in given.items() if value is not None]


def _whole_lines(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return b""  # stored in the meantime
    return content[: content.rfind(b"\n") + 1]


def _content(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            while piece := file.read(PIECE_BYTES):
                yield piece
    except FileNotFoundError:
        return  # deleted in the meantime


@contextmanager
def fresh(target: Path, overwrite: bool) -> Iterator[IO[bytes]]:
    """A private file that becomes `target` when all went well; what a killed one left goes."""
    if target.is_dir():
        raise BackupError(f"{target} is a directory; name a file.")
    if target.exists() and not overwrite:
        raise BackupError(f"{target} exists; name another file, or add --overwrite.")
    partial = target.with_name(f".{target.name}.partial")
    descriptor = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BackupError(f"Another command writes {target}; wait for it.") from error
        try:
            os.fchmod(file.fileno(), 0o600)
            file.truncate(0)
            yield file
            file.flush()
            os.fsync(file.fileno())
            partial.replace(target)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
    sync_folder(target.parent)


def sync_folder(folder: Path) -> None:
    """Names that changed in it outlive a power failure."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def size_text(size: int) -> str:
    """For people: three digits and a unit."""
    number, unit = float(size), "bytes"
    for larger in ("KB", "MB", "GB", "TB"):
        if number < 1000:
            break
        number, unit = number / 1000, larger
    return f"{number:.3g} {unit}"
