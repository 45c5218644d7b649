"""Which news came lately, so that a look-up can tell whether they were about its key. Pure."""

from collections import deque
from itertools import islice

from gateway.auth.verified import VerifiedKey

_REMEMBERED = 1024
KINDS = frozenset({"all", "key", "tenant", "plan"})


class NewsLog:
    """News about keys, numbered; `number` is the last one's."""

    def __init__(self) -> None:
        self.number = 0
        self._last: deque[tuple[str, str]] = deque(maxlen=_REMEMBERED)

    def add(self, kind: str, identifier: str) -> None:
        """One more."""
        self.number += 1
        self._last.append((kind, identifier))

    def concern(self, key: VerifiedKey | None, since: int) -> bool:
        """Whether anything after the number `since` may have made this value wrong.

        None stands for a key that was not found: any new key may be the one.
        """
        count = self.number - since
        if count == 0:
            return False
        if count > len(self._last):
            return True  # more than is remembered
        later = islice(reversed(self._last), count)
        return any(_concerns(key, kind, identifier) for kind, identifier in later)


def _concerns(key: VerifiedKey | None, kind: str, identifier: str) -> bool:
    if kind == "all":
        return True
    if key is None:
        return kind == "key"
    return (kind, identifier) in (
        ("key", key.key_id),
        ("tenant", key.tenant_id),
        ("plan", key.plan),
    )
