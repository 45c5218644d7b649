"""An origin of its own for each API: `<slug>.<BASE_DOMAIN>`. Pure."""

import re

# A label and nothing else. Ids are no names of origins: each API has one origin, not two.
_LABEL = re.compile(rb"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_ID = re.compile(rb"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_PORT = re.compile(rb":[0-9]{0,5}\Z")
NO_API = ""  # no slug is empty


def slug_of(host: bytes, base_domain: str | None) -> str | None:
    """The slug that a Host header names; None when it names no origin of an API.

    What lies below the base domain never falls through to the gateway's own pages: a name
    that no API can have is `NO_API`, which leads nowhere. That includes several labels, ids,
    and names in punycode, which could be drawn to look like others.
    """
    if base_domain is None:
        return None
    name = _PORT.sub(b"", host).lower()
    name = name.removesuffix(b".")
    below = b"." + base_domain.encode("ascii")
    if not name.endswith(below):
        return None
    label = name[: -len(below)]
    if _LABEL.fullmatch(label) is None or _ID.fullmatch(label) or label.startswith(b"xn--"):
        return NO_API
    return label.decode("ascii")
