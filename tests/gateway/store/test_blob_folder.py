"""Blobs in a folder: private, whole or absent, and nothing left of what failed."""

import os
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.store.blob_folder import LEFTOVER_SECONDS, BlobFolder
from gateway.store.blobs import (
    Blob,
    BlobMissingError,
    StorageFullError,
    StorageUnavailableError,
)

LARGE = Blob.of(b"x" * 8_000_000)


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


@contextmanager
def no_room_after(size: int) -> Iterator[None]:
    """The system itself ends each file there."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)


@pytest.fixture
def folder(tmp_path: Path) -> BlobFolder:
    return BlobFolder(tmp_path, keep_free=0)


async def test_only_its_owner_reads_it(folder: BlobFolder, tmp_path: Path) -> None:
    await folder.put(LARGE)
    place = tmp_path / LARGE.digest[:2] / LARGE.digest
    assert place.stat().st_mode & 0o777 == 0o600
    assert place.parent.stat().st_mode & 0o777 == 0o700
    assert files(tmp_path) == [LARGE.digest]


async def test_507_a_disk_that_fills_up_meanwhile_leaves_nothing(
    folder: BlobFolder, tmp_path: Path
) -> None:
    with no_room_after(4_000_000), pytest.raises(StorageFullError):
        await folder.put(LARGE)
    assert files(tmp_path) == []
    with pytest.raises(BlobMissingError):
        await folder.get(LARGE.digest)


async def test_507_what_others_need_of_the_disk_is_left_to_them(tmp_path: Path) -> None:
    with pytest.raises(StorageFullError):
        await BlobFolder(tmp_path, keep_free=2**62).put(LARGE)
    assert files(tmp_path) == []


async def test_503_a_folder_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageUnavailableError):
        await BlobFolder(tmp_path / "file", keep_free=0).put(LARGE)


async def test_what_was_changed_on_disk_is_not_handed_out(
    folder: BlobFolder, tmp_path: Path
) -> None:
    await folder.put(LARGE)
    place = tmp_path / LARGE.digest[:2] / LARGE.digest
    place.write_bytes(b"y" + LARGE.content[1:])
    with pytest.raises(BlobMissingError):
        await folder.get(LARGE.digest)
    await folder.put(LARGE)
    assert await folder.get(LARGE.digest) == LARGE.content


async def test_what_a_dead_writer_left_goes_and_what_is_being_written_stays(
    folder: BlobFolder, tmp_path: Path
) -> None:
    await folder.put(LARGE)
    for name in ("old", "young"):
        (tmp_path / "new" / name).write_bytes(b"half")
    over = (tmp_path / "new" / "old").stat().st_mtime - LEFTOVER_SECONDS - 1
    os.utime(tmp_path / "new" / "old", (over, over))
    await folder.put(LARGE)
    assert files(tmp_path) == sorted([LARGE.digest, "young"])
