"""Blobs in a bucket: whom the key is shown to, and what failures of the project come to."""

from pathlib import Path

import pytest
from pydantic import ValidationError
from starlette.responses import PlainTextResponse

from gateway.settings import Settings
from gateway.store.blob_bucket import BlobBucket, open_bucket
from gateway.store.blob_folder import BlobFolder
from gateway.store.blobs import (
    Blob,
    BlobMissingError,
    StorageFullError,
    StorageUnavailableError,
)
from gateway.store.open_blobs import open_blobs
from tests.support.storage_server import StorageServer, hidden, storage_server

CONTENT = Blob.of(b"content")
TOKEN = "eyJhbGciOiJIUzI1NiJ9.e30.c2lnbmF0dXJl"


def address(server: StorageServer) -> str:
    return f"{server.url}/storage/v1/files"


@pytest.mark.parametrize(
    ("key", "authorization"), [("sb_secret_abc", None), (TOKEN, f"Bearer {TOKEN}")]
)
async def test_a_key_goes_where_the_project_looks_for_it(
    key: str, authorization: str | None
) -> None:
    async with storage_server() as server, open_bucket(address(server), key) as bucket:
        server.key = key
        await bucket.put(CONTENT)
    assert {sent["apikey"] for sent in server.headers} == {key}
    assert {sent.get("authorization") for sent in server.headers} == {authorization}


async def test_the_bucket_is_made_once() -> None:
    async with storage_server() as server, open_bucket(address(server), server.key) as bucket:
        await bucket.put(CONTENT)
        await bucket.put(Blob.of(b"other"))
    assert len(server.headers) == 4
    assert sorted(server.buckets["files"]) == sorted(
        f"{blob.digest[:2]}/{blob.digest}" for blob in (CONTENT, Blob.of(b"other"))
    )


async def test_what_was_changed_there_is_not_handed_out() -> None:
    async with storage_server() as server, open_bucket(address(server), server.key) as bucket:
        await bucket.put(CONTENT)
        server.buckets["files"][f"{CONTENT.digest[:2]}/{CONTENT.digest}"] = b"changed"
        with pytest.raises(BlobMissingError):
            await bucket.get(CONTENT.digest)


async def test_507_and_503_what_the_project_refuses() -> None:
    async with storage_server() as server, open_bucket(address(server), server.key) as bucket:
        for failure, error in (
            (hidden(413, "Payload too large", "exceeded the maximum"), StorageFullError),
            (hidden(403, "Unauthorized", "Invalid"), StorageUnavailableError),
            (PlainTextResponse("bad gateway", 502), StorageUnavailableError),
            (PlainTextResponse("not what we said", 400), StorageUnavailableError),
        ):
            server.failure = failure
            with pytest.raises(error):
                await bucket.put(CONTENT)
        for action in (bucket.get, bucket.delete):
            with pytest.raises(StorageUnavailableError):
                await action(CONTENT.digest)


async def test_503_a_project_that_is_away() -> None:
    async with storage_server() as server:
        gone = address(server)
    async with open_bucket(gone, "sb_secret_abc") as bucket:
        for action in (bucket.put(CONTENT), bucket.get(CONTENT.digest)):
            with pytest.raises(StorageUnavailableError):
                await action


async def test_settings_say_where_files_lie(tmp_path: Path) -> None:
    bare = Settings.model_validate({"sandgate_data_dir": tmp_path})
    async with open_blobs(bare) as blobs:
        assert isinstance(blobs, BlobFolder)
    url, key = "https://project.example/storage/v1/files", "sb_secret_0123456789"
    whole = Settings.model_validate(
        {"upload_bucket_url": url, "upload_bucket_key": key, "sandgate_data_dir": tmp_path}
    )
    async with open_blobs(whole) as blobs:
        assert isinstance(blobs, BlobBucket)
    for half in ({"upload_bucket_url": url}, {"upload_bucket_key": key}):
        with pytest.raises(ValidationError):
            Settings.model_validate(half)
