"""The uploads of one tenant: into its export, and away when it is deleted."""

import mimetypes
import zipfile
from collections.abc import Iterable

from gateway.cli.backup import Say, size_text
from gateway.cli.failures import CommandError
from gateway.operations.blob_collection import collect
from gateway.store import uploads
from gateway.store.blobs import BlobMissingError, BlobStore, StorageUnavailableError
from gateway.store.database import Database
from gateway.store.tenant_tables import File

FOLDER = "files"
SUMS = f"{FOLDER}/SHA256SUMS"
MISSING = f"{FOLDER}/MISSING"


async def write_files(
    archive: zipfile.ZipFile, files: Iterable[File], blobs: BlobStore, say: Say
) -> None:
    """Each content once, under its SHA-256; `sha256sum -c` finds the sums in its own form."""
    sums: list[str] = []
    missing: list[str] = []
    size = 0
    for file in files:
        name = f"{file.digest}{mimetypes.guess_extension(file.media_type) or ''}"
        try:
            content = await blobs.get(file.digest)
        except BlobMissingError:
            missing.append(file.digest)
            say(f"warning: the file {file.digest} is missing or damaged")
            continue
        archive.writestr(f"{FOLDER}/{name}", content)
        sums.append(f"{file.digest}  {name}\n")
        size += len(content)
    archive.writestr(SUMS, "".join(sums))
    if missing:
        archive.writestr(MISSING, "".join(f"{digest}\n" for digest in missing))
    say(f"  {FOLDER}/  {len(sums)} files, {size_text(size)}")


async def take_away(database: Database, blobs: BlobStore, say: Say) -> None:
    """Whatever nobody has any more; bytes that somebody else has too stay."""
    try:
        gone = await collect(database, blobs)
    except StorageUnavailableError as error:
        raise CommandError(
            "the tenant is deleted, but its files cannot be reached where they lie; repeat the "
            "command to take them away, or leave it to the worker, which tries every hour"
        ) from error
    say(f"files taken away: {gone}")
    if waiting := await uploads.count_unused(database):
        say(
            f"{waiting} more are held for at most ten minutes, because somebody may be sending "
            "the same; the worker takes them away within the hour, or repeat the command"
        )
