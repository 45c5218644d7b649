"""What holds for a limit while its store is away, and who is told of it. Pure."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Protocol

KINDS = ("tenant", "api", "key")


class Failure(StrEnum):
    """What a gateway may admit alone, from the careful to the careless.

    `share`: what certainly is left, which only a gateway without others can tell; beside others
    it admits nothing. `estimate`: its part of what was left when it last heard, which may be
    over the limit by what the others admitted since then.
    """

    SHARE = "share"
    ESTIMATE = "estimate"
    DENY = "deny"
    ALLOW = "allow"


def parse_failure(text: str) -> Mapping[str, Failure]:
    """`share`, or by kind of subject like `share,key=deny`; ValueError says what is wrong."""
    policies = dict.fromkeys(KINDS, Failure.SHARE)
    for item in filter(None, map(str.strip, text.split(","))):
        kind, is_of_kind, name = item.rpartition("=")
        if name not in list(Failure) or (is_of_kind and kind not in KINDS):
            raise ValueError(
                "must be share, estimate, deny or allow, for all or like share,key=deny"
            )
        policies |= dict.fromkeys((kind,) if is_of_kind else KINDS, Failure(name))
    return policies


class Watcher(Protocol):
    """Counts what happens; the metrics."""

    def limits_degraded(self, is_degraded: bool) -> None:
        """The state changed."""
        ...

    def limits_failed(self, reason: str) -> None:
        """The store failed once: `timeout`, `lost`, `flushed` or `refused`."""
        ...

    def limits_alone(self, admitted: bool) -> None:
        """A call was decided without the store."""
        ...
