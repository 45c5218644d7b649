"""Reads which API a raw path means. Pure.

One rule: the first segment must be written literally. An encoded character, a dot or
anything else that no id and no slug has makes it the reference of no API.
"""

import re
from typing import NamedTuple

_SHAPE = re.compile(
    rb"/(?P<ref>[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|[a-z0-9](?:[a-z0-9_-]{0,62}))"
    rb"(?:@(?P<pin>[1-9][0-9]{0,8}))?(?=/|\Z)"
)


class Reference(NamedTuple):
    """`/<ref>[@pin]` as the caller wrote it (`root`), and what is left for the app."""

    ref: str  # a uuid in lower case, or a slug
    pin: int | None
    root: bytes
    path: bytes


def parse_reference(raw_path: bytes) -> Reference | None:
    """The reference at the start of a raw path; None when it has no such shape."""
    match = _SHAPE.match(raw_path)
    if match is None:
        return None
    ref, pin = match.groups()
    root = match.group()
    return Reference(
        ref=ref.decode().lower(),
        pin=int(pin) if pin else None,
        root=root,
        path=raw_path[len(root) :] or b"/",
    )
