"""Where a link may lead once it was opened. Pure; closed by default."""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import SplitResult, quote, urlencode, urlsplit, urlunsplit

_CHARACTERS = 2048
_BELOW = "/**"
_NEVER = frozenset({"javascript", "data", "vbscript", "file", "blob", "about"})


@dataclass(frozen=True, slots=True)
class Redirects:
    """The site itself and what the operator lists: an address, or all below one with `/**`.

    Nothing else of the site's own origin: APIs of strangers may be served there.
    """

    site: str
    listed: Sequence[str] = ()

    def target(self, wanted: str | None) -> str:
        """The wanted address when it is allowed, else the site."""
        if not wanted:
            return self.site
        address = _parts(wanted)
        if address is None or not any(_matches(address, entry) for entry in self._entries()):
            return self.site
        return urlunsplit(address._replace(fragment=""))

    def _entries(self) -> tuple[str, ...]:
        return (self.site, *self.listed)


def listed_in(text: str) -> tuple[str, ...]:
    """The entries of a setting; ValueError for one that could never match."""
    entries = tuple(filter(None, map(str.strip, text.split(","))))
    for entry in entries:
        if _parts(entry.removesuffix("**")) is None:
            raise ValueError(f"{entry} is not an address to lead people to")
    return entries


def with_query(target: str, values: dict[str, str]) -> str:
    """The address with more in its query."""
    parts = urlsplit(target)
    query = "&".join(filter(None, (parts.query, urlencode(values))))
    return urlunsplit(parts._replace(query=query))


def with_fragment(target: str, values: dict[str, str]) -> str:
    """The address with values that only the page itself can read."""
    return f"{target}#{urlencode(values, quote_via=quote)}"


def _parts(text: str) -> SplitResult | None:
    """A whole address without anything that two readers could take differently."""
    if len(text) > _CHARACTERS or not text.isascii() or not text.isprintable():
        return None
    if "\\" in text or " " in text:
        return None
    try:
        parts = urlsplit(text)
        is_whole = parts.port is None or parts.port > 0
    except ValueError:
        return None
    if not parts.scheme or parts.scheme in _NEVER or "@" in parts.netloc or not is_whole:
        return None
    if parts.scheme in ("http", "https") and not parts.hostname:
        return None
    return None if _has_dots(parts.path) else parts


def _has_dots(path: str) -> bool:
    plain = path.lower().replace("%2e", ".").replace("%2f", "/").replace("%5c", "/")
    return any(segment in (".", "..") for segment in plain.split("/"))


def _matches(address: SplitResult, entry: str) -> bool:
    allowed = urlsplit(entry)
    if (address.scheme, address.netloc.lower()) != (allowed.scheme, allowed.netloc.lower()):
        return False
    if allowed.path.endswith(_BELOW):
        root = allowed.path.removesuffix("**")
        return address.path.startswith(root) or address.path == root.rstrip("/")
    return (address.path or "/") == (allowed.path or "/")
