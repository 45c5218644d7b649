"""Secrets of APIs at rest: AES-256-GCM, each bound to its API and name. Pure."""

import hashlib
import secrets as randomness
from collections.abc import Callable, Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
_FORMAT = b"\x01"
_KEY_ID_BYTES = 4
_NONCE_BYTES = 12
_HEAD_BYTES = len(_FORMAT) + _KEY_ID_BYTES + _NONCE_BYTES


class UnsealError(Exception):
    """Not sealed by this key for this API and name, or damaged."""


class Seal:
    """Seals and opens under one key.

    What is sealed begins with a format and the key's id, so that a later release can tell
    under which of several keys it was made.
    """

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise ValueError(f"the key for secrets has {KEY_BYTES} bytes")
        self._cipher = AESGCM(key)
        self._head = _FORMAT + hashlib.sha256(b"sandgate key id\0" + key).digest()[:_KEY_ID_BYTES]

    @property
    def head(self) -> bytes:
        """What everything that it sealed begins with."""
        return self._head

    def close(self, api_id: str, name: str, value: str) -> bytes:
        """Ciphertext of a value; a different one every time."""
        nonce = randomness.token_bytes(_NONCE_BYTES)
        return (
            self._head + nonce + self._cipher.encrypt(nonce, value.encode(), _bound(api_id, name))
        )

    def open(self, api_id: str, name: str, sealed: bytes) -> str:
        """The value; UnsealError when it is not one of ours in its own place."""
        if not sealed.startswith(_FORMAT):
            raise UnsealError("unknown format")
        if not sealed.startswith(self._head):
            raise UnsealError("made under another key")
        nonce = sealed[len(self._head) : _HEAD_BYTES]
        try:
            plain = self._cipher.decrypt(nonce, sealed[_HEAD_BYTES:], _bound(api_id, name))
        except (InvalidTag, ValueError) as error:
            raise UnsealError("damaged, or not in its own place") from error
        return plain.decode()


class Seals:
    """Seals under the first of several keys, opens under any; asked for the keys at each use."""

    def __init__(self, keys: Callable[[], Sequence[bytes]]) -> None:
        self._keys = keys

    def close(self, api_id: str, name: str, value: str) -> bytes:
        """Ciphertext of a value, under the first key."""
        return Seal(self._keys()[0]).close(api_id, name, value)

    def open(self, api_id: str, name: str, sealed: bytes) -> str:
        """The value; UnsealError when none of the keys fits."""
        seals = [Seal(key) for key in self._keys()]
        fitting = (seal for seal in seals if sealed.startswith(seal.head))
        return next(fitting, seals[0]).open(api_id, name, sealed)


def _bound(api_id: str, name: str) -> bytes:
    """Neither part can contain the separator."""
    return f"sandgate secret\0{api_id}\0{name}".encode()
