"""The key of the installation's administrator: one text, or what is good at this moment."""

import hmac
from collections.abc import Callable, Sequence

AdminKey = str | Callable[[], Sequence[str]]  # several while it is rotated


def is_admin_key(known: AdminKey, presented: str) -> bool:
    """Whether it is one of them; takes as long whichever character differs."""
    given = presented.encode("utf-8", "replace")
    keys = (known,) if isinstance(known, str) else known()
    return any(hmac.compare_digest(given, key.encode("utf-8", "replace")) for key in keys)
