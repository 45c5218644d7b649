"""Blobs in a private bucket of a Supabase project, over its storage API."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import structlog

from gateway.store.blobs import (
    Blob,
    BlobMissingError,
    BlobStore,
    StorageFullError,
    StorageUnavailableError,
    checked_content,
    checked_digest,
)

SECONDS = 20.0
_FULL = {413, 507}
_log = structlog.get_logger(__name__)


class BlobBucket(BlobStore):
    """The bucket is made with the first file. `client` knows the project's storage and its key."""

    def __init__(self, client: httpx.AsyncClient, bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    async def put(self, blob: Blob) -> None:
        """Written anew also when it is there: that mends what was damaged."""
        answer = await self._send_file(blob)
        if _status(answer) == 404:  # no bucket yet
            made = await self._send(
                "POST", "/bucket", json={"id": self._bucket, "name": self._bucket, "public": False}
            )
            if _status(made) != 409:  # somebody else was quicker
                _require_success(made)
            answer = await self._send_file(blob)
        _require_success(answer)

    async def get(self, digest: str) -> bytes:
        """The content, compared with its digest."""
        answer = await self._send("GET", f"/object/{self._bucket}/{_path(digest)}")
        if _status(answer) == 404:
            raise BlobMissingError
        _require_success(answer)
        return checked_content(digest, answer.content)

    async def delete(self, digest: str) -> None:
        """Remove it."""
        prefixes = {"prefixes": [_path(digest)]}
        answer = await self._send("DELETE", f"/object/{self._bucket}", json=prefixes)
        if _status(answer) != 404:
            _require_success(answer)

    async def _send_file(self, blob: Blob) -> httpx.Response:
        return await self._send(
            "POST",
            f"/object/{self._bucket}/{_path(blob.digest)}",
            headers={"x-upsert": "true"},
            files={"file": (blob.digest, blob.content, "application/octet-stream")},
        )

    async def _send(self, method: str, path: str, **more: Any) -> httpx.Response:
        """`Any`: what httpx takes for a request."""
        try:
            return await self._client.request(method, path, **more)
        except httpx.HTTPError as error:
            raise StorageUnavailableError from error


@asynccontextmanager
async def open_bucket(address: str, key: str) -> AsyncIterator[BlobBucket]:
    """`address` is that of the storage API with the bucket as its last part."""
    base, _, bucket = address.rstrip("/").rpartition("/")
    headers = {"apikey": key}
    if key.startswith("ey"):  # only a key that is a token is one in Authorization
        headers["Authorization"] = f"Bearer {key}"
    async with httpx.AsyncClient(base_url=base, headers=headers, timeout=SECONDS) as client:
        yield BlobBucket(client, bucket)


def _path(digest: str) -> str:
    return f"{checked_digest(digest)[:2]}/{digest}"


def _status(answer: httpx.Response) -> int:
    """The storage API hides the status of some failures in a body under status 400."""
    if answer.status_code != 400:
        return answer.status_code
    try:
        return int(answer.json()["statusCode"])
    except (ValueError, KeyError, TypeError):
        return answer.status_code


def _require_success(answer: httpx.Response) -> None:
    if answer.is_success:
        return
    status = _status(answer)
    _log.error("storage_refused", status=status, answer=answer.text[:200])
    raise StorageFullError if status in _FULL else StorageUnavailableError
