"""Slugs: readable second names of APIs in addresses. Pure."""

import re
import unicodedata
from uuid import UUID

from gateway.reserved import RESERVED_SEGMENTS

MAX_CHARACTERS = 40
_NOT_ALLOWED = re.compile(r"[^a-z0-9]+")


def slug_of(name: str, suffix: str = "") -> str:
    """A slug from a name; with a suffix when the plain one is taken.

    Never a reserved segment, never something that reads as an id, never empty.
    """
    folded = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    base = _NOT_ALLOWED.sub("-", folded).strip("-")
    if not base or base in RESERVED_SEGMENTS or _reads_as_id(base):
        base = f"api-{base or 'unnamed'}"
    tail = f"-{suffix}" if suffix else ""
    return base[: MAX_CHARACTERS - len(tail)].strip("-") + tail


def _reads_as_id(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True
