"""Refresh tokens: how one follows from another, and what to do with one that comes in. Pure.

Only fingerprints are stored, so a copied table opens nothing. The successor of a token is
derived from it with a server secret: two tabs that refresh at the same moment get the same
successor although the server never kept it.
"""

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

REUSE_SECONDS = 10.0
_STEPS = 64  # more rotations than one session is allowed within the reuse time


class Rotation(StrEnum):
    """What happens to a presented token."""

    ROTATE = "rotate"  # it is the current one: revoke it and hand out its successor
    REPEAT = "repeat"  # just rotated, parallel tab: hand out the current one again
    REUSED = "reused"  # rotated long ago: somebody has a copy, end the session


@dataclass(frozen=True, slots=True)
class StoredToken:
    """A presented token as the store knows it; `changed_at` is when it was rotated."""

    fingerprint: str
    session_id: UUID
    revoked: bool
    changed_at: float


def decide(stored: StoredToken, now: float) -> Rotation:
    """What to do with a token that was found."""
    if not stored.revoked:
        return Rotation.ROTATE
    if now - stored.changed_at <= REUSE_SECONDS:
        return Rotation.REPEAT
    return Rotation.REUSED


def secret_from(private_key_pem: str) -> bytes:
    """The secret that successors are derived with, out of the key that signs access tokens."""
    return hmac.digest(private_key_pem.encode(), b"sandgate refresh tokens", hashlib.sha256)


def first_token() -> str:
    """A new, unguessable token that begins a session."""
    return secrets.token_urlsafe(32)


def successor(secret: bytes, session_id: UUID, token: str) -> str:
    """The one token that follows `token`; without the secret nobody can tell it."""
    digest = hmac.digest(secret, session_id.bytes + token.encode(), hashlib.sha256)
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def current_after(secret: bytes, session_id: UUID, token: str, current: str) -> str | None:
    """The descendant of `token` whose fingerprint is `current`."""
    for _ in range(_STEPS):
        token = successor(secret, session_id, token)
        if hmac.compare_digest(fingerprint(token), current):
            return token
    return None


def fingerprint(token: str) -> str:
    """What is stored of a token."""
    return hashlib.sha256(token.encode()).hexdigest()
