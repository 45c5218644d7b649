"""Where the files of this installation lie: a bucket when one is set, else the data directory."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gateway.settings import Settings
from gateway.store.blob_folder import BlobFolder
from gateway.store.blobs import BlobStore


@asynccontextmanager
async def open_blobs(settings: Settings) -> AsyncIterator[BlobStore]:
    """Open for as long as the block lasts."""
    if settings.upload_bucket_url is None or settings.upload_bucket_key is None:
        yield BlobFolder(settings.data_dir / "uploads")
        return
    # only then: it loads a client for HTTP
    from gateway.store.blob_bucket import open_bucket

    key = settings.upload_bucket_key.get_secret_value()
    async with open_bucket(settings.upload_bucket_url, key) as bucket:
        yield bucket
