"""Blobs in a folder of this machine: one file each, written aside and renamed into its place."""

import asyncio
import errno
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from gateway.store.blobs import (
    Blob,
    BlobMissingError,
    BlobStore,
    StorageFullError,
    StorageUnavailableError,
    checked_content,
    checked_digest,
)

KEEP_FREE_BYTES = 256 * 1024 * 1024  # database and journal lie on the same disk
LEFTOVER_SECONDS = 3600.0
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class BlobFolder(BlobStore):
    """Uploads stop while less than `keep_free` bytes of the disk are left."""

    def __init__(self, root: Path, *, keep_free: int = KEEP_FREE_BYTES) -> None:
        self._root = root
        self._fresh = root / "new"
        self._keep_free = keep_free

    async def put(self, blob: Blob) -> None:
        """Written anew also when it is there: that mends what was damaged."""
        await asyncio.to_thread(self._put, blob)

    async def get(self, digest: str) -> bytes:
        """The content, compared with its digest."""
        return await asyncio.to_thread(self._get, digest)

    async def delete(self, digest: str) -> None:
        """Unlink it."""
        await asyncio.to_thread(self._delete, digest)

    def _put(self, blob: Blob) -> None:
        with translated():
            self._fresh.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._sweep()
            free = shutil.disk_usage(self._root).free
            if free - len(blob.content) < self._keep_free:
                raise StorageFullError
            temporary = self._fresh / uuid4().hex
            try:
                self._write(temporary, blob.content)
                place = self._path(blob.digest)
                if not place.parent.exists():
                    place.parent.mkdir(mode=0o700, exist_ok=True)
                    _sync_folder(self._root)
                temporary.replace(place)
                _sync_folder(place.parent)
            finally:
                temporary.unlink(missing_ok=True)

    def _write(self, path: Path, content: bytes) -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())

    def _get(self, digest: str) -> bytes:
        with translated():
            try:
                return checked_content(digest, self._path(digest).read_bytes())
            except FileNotFoundError as error:
                raise BlobMissingError from error

    def _delete(self, digest: str) -> None:
        with translated():
            self._path(digest).unlink(missing_ok=True)

    def _sweep(self) -> None:
        """What writers that died have left goes when nobody can be writing it any more."""
        over = time.time() - LEFTOVER_SECONDS
        for path in self._fresh.iterdir():
            with suppress(FileNotFoundError):
                if path.stat().st_mtime < over:
                    path.unlink()

    def _path(self, digest: str) -> Path:
        return self._root / checked_digest(digest)[:2] / digest


@contextmanager
def translated() -> Iterator[None]:
    """The system's failures in our words: a full disk is another thing than a broken one."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise StorageFullError from error
        raise StorageUnavailableError from error


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
