"""Bytes that are found again by the hash of what they are; where they lie is the store's affair."""

import hashlib
import re
from dataclasses import dataclass, field
from typing import Protocol, Self

from gateway.errors import SandgateError, UnavailableError

_DIGEST = re.compile(r"[0-9a-f]{64}")


class StorageFullError(SandgateError):
    """There is no room for more; nothing of it was kept."""

    status, code, title = 507, "storage_full", "No room for more files"


class StorageUnavailableError(UnavailableError):
    """The place where files lie cannot be used."""

    code, title = "storage_unavailable", "Files cannot be reached at the moment"


class BlobMissingError(SandgateError):
    """The bytes are not there, or are others than they were."""

    code, title = "file_damaged", "The file is missing or damaged"


@dataclass(frozen=True, slots=True)
class Blob:
    """Content and its name, which follows from it."""

    content: bytes = field(repr=False)
    digest: str

    @classmethod
    def of(cls, content: bytes) -> Self:
        """The blob with this content."""
        return cls(content, digest_of(content))


class BlobStore(Protocol):
    """Every method may raise StorageUnavailableError. Digests are ours, never a caller's text."""

    async def put(self, blob: Blob) -> None:
        """Keep it: whole and for good once this returns, else not at all."""
        ...

    async def get(self, digest: str) -> bytes:
        """The content; BlobMissingError when it is not there as it was."""
        ...

    async def delete(self, digest: str) -> None:
        """Forget it; what is not there is forgotten already."""
        ...


def digest_of(content: bytes) -> str:
    """SHA-256 in hex."""
    return hashlib.sha256(content).hexdigest()


def checked_digest(digest: str) -> str:
    """The same text, when it is a digest: it becomes part of a path."""
    if not _DIGEST.fullmatch(digest):
        raise ValueError("not a digest")
    return digest


def checked_content(digest: str, content: bytes) -> bytes:
    """The same bytes, when they are what the digest says."""
    if digest_of(content) != digest:
        raise BlobMissingError
    return content
