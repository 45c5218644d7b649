"""Which call settings may be asked for, in the form they are stored in. Pure.

Only what differs from the defaults is stored, so that a later release may have better ones.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from gateway.errors import InvalidInputError
from gateway.store.call_settings import (
    CallSettings,
    Cors,
    StreamSettings,
    WebSocketSettings,
    cors_of,
)

MAX_PRICE = 1_000_000_000_000  # nano-USD: a thousand dollars a call
MAX_WORDS = 50
MAX_METHODS = 20
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,255}")
_ORIGIN = re.compile(
    r"https?://(?P<any>\*\.)?"
    r"(?P<host>[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*"
    r"|\[[0-9a-f:.]+\])"
    r"(:(?P<port>[1-9][0-9]{0,4}))?"
)
_DEFAULT_PORTS = {"http": "80", "https": "443"}
# the Fetch standard forbids pages to send these whatever a server says
_FORBIDDEN_METHODS = frozenset({"CONNECT", "TRACE", "TRACK"})
# part of every answer's protocol with a page, never of what one allows another to read
_FORBIDDEN_EXPOSED = frozenset({"set-cookie", "set-cookie2"})


@dataclass(frozen=True, slots=True)
class Range:
    """Smallest and largest whole number that may be asked for."""

    low: int
    high: int


RANGES: Mapping[str, Range] = {
    "cors.max_age": Range(0, 86_400),
    "max_concurrency": Range(1, 10_000),
    "queue": Range(0, 1000),
    "websocket.message_bytes": Range(1, 16 * 1024 * 1024),
    "websocket.idle_seconds": Range(1, 3600),
    "websocket.total_seconds": Range(1, 86_400),
    "streams.idle_seconds": Range(1, 3600),
    "streams.total_seconds": Range(1, 86_400),
}


class InvalidCallSettingsError(InvalidInputError):
    """A setting of the call path that cannot be kept; says which."""

    code, title = "invalid_call_settings", "Invalid call settings"


class InvalidPriceError(InvalidInputError):
    """Not a price that a call can have."""

    code, title = "invalid_price", "Invalid price"


def checked_price(nano_usd: int) -> int:
    """Whole nano-USD for one call; zero is free."""
    if not 0 <= nano_usd <= MAX_PRICE:
        raise InvalidPriceError(f"A price is 0 to {MAX_PRICE} nano-USD a call")
    return nano_usd


def checked_call_settings(asked: Mapping[str, Any]) -> dict[str, Any]:
    """What is stored. `Any`: JSON whose shape was checked, not its values."""
    given = {name: value for name, value in asked.items() if value is not None}
    stored: dict[str, Any] = {}
    if "cors" in given:
        stored["cors"] = _checked_cors(given.pop("cors"))
    for name, defaults in (("websocket", WebSocketSettings()), ("streams", StreamSettings())):
        part = given.pop(name, None)
        if part is not None:
            stored[name] = _checked_part(name, {**asdict(defaults), **_set(part)})
    stored |= given
    _check_ranges("", given)
    if given.get("documents", "key") not in ("key", "public", "off"):
        raise InvalidCallSettingsError("documents is key, public or off")
    plain = asdict(CallSettings())
    return {name: value for name, value in stored.items() if value != plain[name]}


def _checked_cors(asked: Mapping[str, Any]) -> dict[str, Any]:
    cors = cors_of({"origins": (), **_set(asked)})
    origins = _words("cors.origins", [_checked_origin(each) for each in cors.origins], MAX_WORDS)
    if not origins:
        raise InvalidCallSettingsError("cors.origins names at least one origin, or *")
    if "*" in origins and len(origins) > 1:
        raise InvalidCallSettingsError("cors.origins is * alone, or a list without it")
    if "*" in origins and cors.credentials:
        raise InvalidCallSettingsError(
            "cors.credentials needs origins that are named; browsers refuse them with *"
        )
    methods = _words("cors.methods", cors.methods, MAX_METHODS)
    if not methods or _FORBIDDEN_METHODS & {method.upper() for method in methods}:
        raise InvalidCallSettingsError("cors.methods are methods that pages may use, like GET")
    headers = [name.lower() for name in cors.headers]
    expose = _words("cors.expose", [name.lower() for name in cors.expose], MAX_WORDS)
    if "*" in expose or _FORBIDDEN_EXPOSED & set(expose):
        raise InvalidCallSettingsError("cors.expose names headers; cookies cannot be exposed")
    _check_ranges("cors.", {"max_age": cors.max_age})
    checked = Cors(
        origins=tuple(origins),
        methods=tuple(methods),
        headers=tuple(_words("cors.headers", headers, MAX_WORDS)),
        expose=tuple(expose),
        credentials=cors.credentials,
        max_age=cors.max_age,
    )
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in asdict(checked).items()
    }


def _checked_origin(text: str) -> str:
    """As a browser writes it: lower case, without a path and without the port of its scheme."""
    if text == "*":
        return text
    lowered = text.lower()
    found = _ORIGIN.fullmatch(lowered)
    if found is None or len(lowered) > 255 or int(found["port"] or 1) > 65535:
        raise InvalidCallSettingsError(
            f"cors.origins: {text[:80]!r} is not *, https://app.example.com or "
            "https://*.example.com"
        )
    if found["any"] and ("." not in found["host"] or found["host"].startswith("[")):
        raise InvalidCallSettingsError(f"cors.origins: {text[:80]!r} is too wide")
    scheme = lowered.partition(":")[0]
    return lowered.removesuffix(f":{_DEFAULT_PORTS[scheme]}") if found["port"] else lowered


def _words(name: str, given: Sequence[str], most: int) -> list[str]:
    """Each once, in the order given; tokens of HTTP only, unless they are origins."""
    if len(given) > most:
        raise InvalidCallSettingsError(f"{name} has at most {most} entries")
    for each in given:
        if name != "cors.origins" and not _TOKEN.fullmatch(each):
            raise InvalidCallSettingsError(f"{name}: {each[:80]!r} is not a name HTTP has room for")
    return list(dict.fromkeys(given))


def _checked_part(name: str, part: dict[str, Any]) -> dict[str, Any]:
    _check_ranges(f"{name}.", part)
    if part["idle_seconds"] > part["total_seconds"]:
        raise InvalidCallSettingsError(f"{name}.idle_seconds is at most {name}.total_seconds")
    return part


def _check_ranges(prefix: str, part: Mapping[str, Any]) -> None:
    for name, value in part.items():
        bounds = RANGES.get(prefix + name)
        if bounds is not None and not bounds.low <= value <= bounds.high:
            raise InvalidCallSettingsError(f"{prefix}{name} is {bounds.low} to {bounds.high}")


def _set(part: Mapping[str, Any]) -> dict[str, Any]:
    """Null is the default, as absence is."""
    return {name: value for name, value in part.items() if value is not None}
