"""Removes the bytes of uploads that nobody has any more."""

from gateway.store import uploads
from gateway.store.blobs import BlobStore
from gateway.store.database import Database

_AT_ONCE = 100


async def collect(database: Database, blobs: BlobStore) -> int:
    """Remove the bytes that nobody needs any more; answers of how many.

    First nobody can use them again, then they go, then they are forgotten: whoever dies in
    between leaves work for the next time, and never a file that is missed.
    """
    gone = 0
    while digests := await uploads.take_unused(database, _AT_ONCE):
        for digest in digests:
            await blobs.delete(digest)
        await uploads.forget(database, digests)
        gone += len(digests)
    return gone
