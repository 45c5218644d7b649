"""What is stored of a key, and under which secret; two are good while one takes over."""

import hmac
from dataclasses import dataclass, field
from typing import NamedTuple

FIRST = "first"  # the secret that an installation began with; hashes under it name none


@dataclass(frozen=True, slots=True)
class HashSecret:
    """A secret with the name that hashes under it begin with."""

    value: bytes = field(repr=False)
    id: str = FIRST

    def hash(self, key: str) -> str:
        """HMAC-SHA-256 in hex, worthless without the secret."""
        if not self.value:
            raise ValueError("the key hash secret is empty")
        text = hmac.digest(self.value, key.encode(), "sha256").hex()
        return text if self.id == FIRST else f"{self.id}.{text}"


class Hashes(NamedTuple):
    """Where a key may be found. Under a hash from before it is found until it is hashed anew."""

    current: str
    other: str | None = None
    is_before: bool = False

    @property
    def good(self) -> list[str]:
        """All of them."""
        return [self.current] if self.other is None else [self.current, self.other]


@dataclass(frozen=True, slots=True)
class HashSecrets:
    """The secret that new keys are hashed with, and the one to come or the one before."""

    current: HashSecret
    other: HashSecret | None = None
    is_before: bool = False

    def hashes(self, key: str) -> Hashes:
        """Of one key, under both."""
        other = None if self.other is None else self.other.hash(key)
        return Hashes(self.current.hash(key), other, self.is_before)

    @property
    def values(self) -> list[bytes]:
        """The secrets, the current one first."""
        return [secret.value for secret in (self.current, self.other) if secret is not None]
