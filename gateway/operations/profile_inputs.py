"""What people may tell of themselves: values are checked here and nowhere else. Pure."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from urllib.parse import urlsplit
from zoneinfo import available_timezones

from gateway.errors import InvalidInputError
from gateway.operations.inputs import InvalidNameError, InvalidTextError

DISPLAY_NAME_CHARACTERS = 80
BIO_CHARACTERS = 2000
LINKS_MAX = 8
LABEL_CHARACTERS = 40
URL_CHARACTERS = 300
THEMES = ("system", "light", "dark")
_PLAIN_SPACE = frozenset("\n\r\t")
_JOINERS = frozenset("\u200c\u200d")  # invisible, but scripts and emoji are written with them
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}")


class InvalidLinkError(InvalidInputError):
    """Not an address that a browser may be sent to."""

    code, title = "invalid_link", "Invalid link"


class InvalidPreferenceError(InvalidInputError):
    """Not a preference, or not one of its values."""

    code, title = "invalid_preference", "Invalid preference"


@dataclass(frozen=True, slots=True)
class Link:
    """An address with the words it is shown by."""

    label: str
    url: str


def checked_display_name(name: str) -> str:
    """One line without surrounding space; empty is none."""
    tidy = _tidy(name, DISPLAY_NAME_CHARACTERS)
    if tidy is None:
        raise InvalidNameError(f"A name has at most {DISPLAY_NAME_CHARACTERS} characters")
    if not is_readable(tidy):
        raise InvalidNameError("A name has printable characters only")
    return tidy


def checked_text(text: str, most: int, what: str) -> str:
    """Several lines without surrounding space; control characters are refused."""
    tidy = _tidy(text, most)
    if tidy is None:
        raise InvalidTextError(f"{what} has at most {most} characters")
    if not is_readable(tidy, _PLAIN_SPACE):
        raise InvalidTextError(f"{what} has printable characters only")
    return tidy


def _tidy(text: str, most: int) -> str | None:
    """Trimmed and in NFC; None when it is too long.

    What is long before is refused before: the time NFC takes grows with the square of the marks
    on one letter.
    """
    trimmed = text.strip()
    if len(trimmed) > most:
        return None
    tidy = unicodedata.normalize("NFC", trimmed)
    return tidy if len(tidy) <= most else None


def is_readable(text: str, more: frozenset[str] = frozenset()) -> bool:
    """Whether everybody who looks sees the same: nothing invisible, nothing that turns text."""
    allowed = _JOINERS | more
    return all(character.isprintable() or character in allowed for character in text)


def checked_links(links: Sequence[Link]) -> list[dict[str, str]]:
    """Each with a label and an http or https address."""
    if len(links) > LINKS_MAX:
        raise InvalidLinkError(f"A profile has at most {LINKS_MAX} links")
    return [{"label": _label(link.label), "url": checked_url(link.url)} for link in links]


def checked_url(url: str) -> str:
    """An http or https address with a host and without credentials."""
    if len(url) > URL_CHARACTERS:
        raise InvalidLinkError(f"An address has at most {URL_CHARACTERS} characters")
    if not url.isprintable() or any(c.isspace() or c in '\\"<>`{}|^' for c in url):
        raise InvalidLinkError("An address has no spaces, quotes or control characters")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port  # both are checked when they are read
    except ValueError as error:
        raise InvalidLinkError("This is not an address") from error
    if parts.scheme not in ("http", "https") or not host:
        raise InvalidLinkError("An address begins with https:// or http:// and names a host")
    if parts.username is not None or parts.password is not None:
        raise InvalidLinkError("An address has no user name or password in it")
    return url


def checked_preferences(asked: Mapping[str, str | None]) -> dict[str, str | None]:
    """Known names with one of their values; None goes back to the default."""
    for name, value in asked.items():
        if name not in ("theme", "language", "time_zone"):
            raise InvalidPreferenceError("Preferences are theme, language and time_zone")
        if value is not None and not _is_choice(name, value):
            raise InvalidPreferenceError(f"{name} cannot be this; {_WANTED[name]}")
    return dict(asked)


_WANTED = {
    "theme": f"it is one of {', '.join(THEMES)}",
    "language": "it is a language tag like en or pt-BR",
    "time_zone": "it is a name like Europe/Berlin",
}


def _is_choice(name: str, value: str) -> bool:
    if name == "theme":
        return value in THEMES
    if name == "language":
        return _LANGUAGE.fullmatch(value) is not None
    return value in _time_zones()


@cache
def _time_zones() -> frozenset[str]:
    """Those of this machine; reading them takes a look into hundreds of files."""
    return frozenset(available_timezones()) | {"UTC"}


def _label(label: str) -> str:
    tidy = _tidy(label, LABEL_CHARACTERS)
    if not tidy or not is_readable(tidy):
        raise InvalidLinkError(f"A label has 1 to {LABEL_CHARACTERS} printable characters")
    return tidy
