"""Password hashes that were made elsewhere: which may be taken over, and how they are checked.

Whoever hands one in decides how much work each sign-in is, so that is bounded.
"""

import re

import bcrypt
from argon2 import extract_parameters
from argon2.exceptions import InvalidHashError

from gateway.auth.issuer.errors import ValidationError

_BCRYPT = re.compile(r"\$2[aby]\$(0[4-9]|1[0-4])\$[./A-Za-z0-9]{53}")
_BCRYPT_BYTES = 72  # it never looks at more
_CHARACTERS = 255
_MEMORY_KIB = 128 * 1024
_PASSES = 10
_LANES = 8


def check_foreign(password_hash: str) -> str:
    """The hash, when it is bcrypt or Argon2 of bearable cost."""
    if _BCRYPT.fullmatch(password_hash) or _is_bearable_argon2(password_hash):
        return password_hash
    raise ValidationError("password_hash must be bcrypt or argon2, of bearable cost")


def is_bcrypt(stored: str) -> bool:
    """Whether bcrypt made it; everything else is Argon2."""
    return _BCRYPT.fullmatch(stored) is not None


def matches_bcrypt(password: str, stored: str) -> bool:
    """Whether the password belongs to a bcrypt hash."""
    return bcrypt.checkpw(password.encode()[:_BCRYPT_BYTES], stored.encode())


def _is_bearable_argon2(text: str) -> bool:
    if len(text) > _CHARACTERS or not text.isascii() or not text.isprintable():
        return False
    try:
        found = extract_parameters(text)
    except (InvalidHashError, ValueError):
        return False
    return (
        8 * found.parallelism <= found.memory_cost <= _MEMORY_KIB
        and 1 <= found.time_cost <= _PASSES
        and 1 <= found.parallelism <= _LANES
        and found.hash_len >= 16
        and found.salt_len >= 8
    )
