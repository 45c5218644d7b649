"""What may be asked of a key: scopes, addresses, expiry, overlap. Pure."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from gateway.auth.restriction import is_pattern, network
from gateway.errors import InvalidInputError

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
MAX_PATHS = 50
MAX_ADDRESSES = 100
MAX_OVERLAP_SECONDS = 30 * 86_400
DEFAULT_OVERLAP_SECONDS = 86_400

ScopesJson = dict[str, list[str]]


class InvalidExpiryError(InvalidInputError):
    """A key that would be dead at birth."""

    code, title = "invalid_expiry", "Invalid expiry"


class InvalidScopesError(InvalidInputError):
    """Methods nobody sends, or paths that could be read in two ways."""

    code, title = "invalid_scopes", "Invalid scopes"


class InvalidAddressesError(InvalidInputError):
    """Not addresses or networks, or too many."""

    code, title = "invalid_addresses", "Invalid addresses"


def checked_scopes(asked: Mapping[str, Sequence[str]]) -> ScopesJson:
    """Each part that is there, without repetitions; an empty one would open nothing."""
    if not asked.keys() <= {"methods", "paths"}:
        raise InvalidScopesError("Scopes have methods and paths")
    for name, values in asked.items():
        if not values:
            raise InvalidScopesError(f"{name} cannot be empty; leave it out to allow all")
    if unknown := [m for m in asked.get("methods", ()) if m not in METHODS]:
        raise InvalidScopesError(f"{unknown[0]!r:.30} is not one of {', '.join(METHODS)}")
    paths = asked.get("paths", ())
    if len(paths) > MAX_PATHS:
        raise InvalidScopesError(f"A key has at most {MAX_PATHS} paths")
    if wrong := [path for path in paths if not is_pattern(path)]:
        raise InvalidScopesError(
            f"{wrong[0]!r:.80} is not a path like /items, or /items/* for all below it, "
            "percent-encoded and without dot segments, double slashes or encoded slashes and dots"
        )
    return {name: list(dict.fromkeys(values)) for name, values in asked.items()}


def checked_addresses(asked: Sequence[str]) -> list[str]:
    """Networks in their plain form; none of them means every address."""
    if len(asked) > MAX_ADDRESSES:
        raise InvalidAddressesError(f"A key has at most {MAX_ADDRESSES} addresses")
    networks = []
    for text in asked:
        try:
            networks.append(str(network(text.strip())))
        except ValueError as error:
            raise InvalidAddressesError(
                f"{text!r:.60} is not an address or a network like 192.0.2.0/24 or 2001:db8::/32"
            ) from error
    return list(dict.fromkeys(networks))


def checked_expiry(expires_at: datetime | None, now: float) -> str | None:
    """In the future, as UTC; None is never."""
    if expires_at is None:
        return None
    if expires_at.tzinfo is None:
        raise InvalidExpiryError("expires_at needs a time zone")
    try:
        moment = expires_at.astimezone(UTC)
    except OverflowError as error:  # the first and last hours of time, of other zones
        raise InvalidExpiryError("expires_at is out of range") from error
    if moment.timestamp() <= now:
        raise InvalidExpiryError("expires_at is in the past")
    return moment.isoformat()


def checked_overlap(seconds: int | None) -> int:
    """How long the old key goes on beside its successor; 0 ends it at once."""
    if seconds is None:
        return DEFAULT_OVERLAP_SECONDS
    if not 0 <= seconds <= MAX_OVERLAP_SECONDS:
        raise InvalidInputError(f"overlap_seconds must be 0 to {MAX_OVERLAP_SECONDS}")
    return seconds
