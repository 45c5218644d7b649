"""One suite over every place where blobs lie."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.store.blob_bucket import open_bucket
from gateway.store.blob_folder import BlobFolder
from gateway.store.blobs import Blob, BlobMissingError, BlobStore
from tests.support.storage_server import storage_server

CONTENT = Blob.of(bytes(range(256)) * 10)


@pytest.fixture(params=["folder", "bucket"])
async def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[BlobStore]:
    """A folder, and a bucket of a server that speaks the storage API."""
    if request.param == "folder":
        yield BlobFolder(tmp_path / "blobs", keep_free=0)
        return
    async with (
        storage_server() as server,
        open_bucket(f"{server.url}/storage/v1/files", server.key) as bucket,
    ):
        yield bucket


async def test_what_was_put_is_got(blobs: BlobStore) -> None:
    await blobs.put(CONTENT)
    assert await blobs.get(CONTENT.digest) == CONTENT.content


async def test_contents_do_not_meet(blobs: BlobStore) -> None:
    other = Blob.of(b"other")
    await blobs.put(CONTENT)
    await blobs.put(other)
    await blobs.delete(CONTENT.digest)
    assert await blobs.get(other.digest) == b"other"


async def test_the_same_content_may_be_put_again_and_at_once(blobs: BlobStore) -> None:
    await asyncio.gather(*(blobs.put(CONTENT) for _ in range(8)))
    assert await blobs.get(CONTENT.digest) == CONTENT.content


async def test_what_is_not_there_is_missing(blobs: BlobStore) -> None:
    with pytest.raises(BlobMissingError):
        await blobs.get(CONTENT.digest)


async def test_what_was_deleted_is_missing_and_may_be_deleted_again(blobs: BlobStore) -> None:
    await blobs.put(CONTENT)
    await blobs.delete(CONTENT.digest)
    await blobs.delete(CONTENT.digest)
    with pytest.raises(BlobMissingError):
        await blobs.get(CONTENT.digest)


@pytest.mark.parametrize("text", ["", "../../etc/passwd", "A" * 64, "0" * 63, "0" * 64 + "\n"])
async def test_what_is_no_digest_names_nothing(blobs: BlobStore, text: str) -> None:
    for action in (blobs.get, blobs.delete):
        with pytest.raises(ValueError, match="not a digest"):
            await action(text)
