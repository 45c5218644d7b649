"""Keys as text: make one, tell junk from a key without a look-up, show it, hash it. Pure."""

import secrets
import zlib
from string import ascii_lowercase, ascii_uppercase, digits

from gateway.key_hashes import HashSecret

PREFIX = "sg_live_"
_ALPHABET = digits + ascii_uppercase + ascii_lowercase
_RANDOM_CHARACTERS = 32  # 190 bits
_CHECKSUM_CHARACTERS = 6  # 62**6 > 2**32
_LENGTH = len(PREFIX) + _RANDOM_CHARACTERS + _CHECKSUM_CHARACTERS
_ALLOWED = frozenset(_ALPHABET)


def generate_key() -> str:
    """A new key; the only time its text exists on our side."""
    body = PREFIX + "".join(secrets.choice(_ALPHABET) for _ in range(_RANDOM_CHARACTERS))
    return body + _checksum(body)


def is_well_formed(presented: str) -> bool:
    """Whether this could be a key of ours. Junk, however large, costs a length comparison.

    CRC-32 of what precedes sees every changed character and every two swapped ones.
    """
    if len(presented) != _LENGTH or not presented.startswith(PREFIX):
        return False
    if not _ALLOWED.issuperset(presented[len(PREFIX) :]):
        return False
    body = presented[:-_CHECKSUM_CHARACTERS]
    return _checksum(body) == presented[-_CHECKSUM_CHARACTERS:]


def display_form(key: str) -> str:
    """What lists may show: `sg_live_ab…wxyz`."""
    return f"{key[: len(PREFIX) + 2]}…{key[-4:]}"


def hash_key(key: str, secret: bytes) -> str:
    """What is stored by an installation whose secret was never replaced."""
    return HashSecret(secret).hash(key)


def _checksum(body: str) -> str:
    """CRC-32 as six base62 digits, most significant first."""
    number = zlib.crc32(body.encode())
    characters = []
    for _ in range(_CHECKSUM_CHARACTERS):
        number, digit = divmod(number, len(_ALPHABET))
        characters.append(_ALPHABET[digit])
    return "".join(reversed(characters))
