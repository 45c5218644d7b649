"""Addresses of files that open to whoever has them, for a while. Pure."""

import hashlib
import hmac
import math
from collections.abc import Sequence
from uuid import UUID

from gateway.errors import ForbiddenError

LIFE_SECONDS = 900  # at least; up to twice as long, so that the address stays for a while


class FileUrlError(ForbiddenError):
    """Not signed by us, or its time is over."""

    code, title = "file_url_invalid", "The address of the file is not valid any more"


def signed_path(upload_id: UUID, key: bytes, now: float) -> str:
    """Path and query. The same one for `LIFE_SECONDS`, so that browsers can keep the file."""
    expires = (math.floor(now / LIFE_SECONDS) + 2) * LIFE_SECONDS
    return (
        f"/api/uploads/{upload_id}/content"
        f"?expires={expires}&signature={_signature(upload_id, expires, key)}"
    )


def check(upload_id: UUID, expires: int, signature: str, keys: Sequence[bytes], now: float) -> None:
    """FileUrlError unless it was made by `signed_path` and lives."""
    given = signature.encode("utf-8", "replace")
    ours = [_signature(upload_id, expires, key).encode() for key in keys]
    if not any(hmac.compare_digest(expected, given) for expected in ours):
        raise FileUrlError("The signature is not ours")
    if expires <= now:
        raise FileUrlError("The address has expired; ask for a fresh one")


def url_key(secret: bytes) -> bytes:
    """A key of its own, so that a signature is good for nothing else."""
    return hmac.digest(secret, b"addresses of uploads", hashlib.sha256)


def _signature(upload_id: UUID, expires: int, key: bytes) -> str:
    return hmac.new(key, f"{upload_id}\n{expires}".encode(), hashlib.sha256).hexdigest()
