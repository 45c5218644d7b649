"""What holds for a limit while its store is away. Pure."""

from collections.abc import Mapping
from enum import StrEnum

KINDS = ("tenant", "api", "key")


class Failure(StrEnum):
    """A gateway's share of what is left, nothing, or everything."""

    SHARE = "share"
    DENY = "deny"
    ALLOW = "allow"


def parse_failure(text: str) -> Mapping[str, Failure]:
    """`share`, or by kind of subject like `share,key=deny`; ValueError says what is wrong."""
    policies = dict.fromkeys(KINDS, Failure.SHARE)
    for item in filter(None, map(str.strip, text.split(","))):
        kind, is_of_kind, name = item.rpartition("=")
        if name not in list(Failure) or (is_of_kind and kind not in KINDS):
            raise ValueError("must be share, deny or allow, for all or like share,key=deny")
        policies |= dict.fromkeys((kind,) if is_of_kind else KINDS, Failure(name))
    return policies
