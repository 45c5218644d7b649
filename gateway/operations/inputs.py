"""What may be asked for: values are checked here and nowhere else. Pure."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from gateway.errors import InvalidInputError, PayloadTooLargeError
from gateway.limits.plan import parse_limits
from gateway.operations.values import LimitsJson, ResourcesView
from gateway.store.routes import Instances
from sandbox.types import Resources, Tier

NAME_CHARACTERS = 80
DESCRIPTION_CHARACTERS = 2000
OWNER_STATUSES = frozenset({"active", "paused"})
TENANT_STATUSES = frozenset({"active", "suspended"})
_PLAIN_SPACE = frozenset("\n\r\t")


class InvalidNameError(InvalidInputError):
    """Empty, too long, or with characters nobody can see."""

    code, title = "invalid_name", "Invalid name"


class InvalidTextError(InvalidInputError):
    """Text that is too long or carries control characters."""

    code, title = "invalid_text", "Invalid text"


class InvalidCodeError(InvalidInputError):
    """Not a text file that Python could read."""

    code, title = "invalid_code", "Invalid code"


class CodeTooLargeError(PayloadTooLargeError):
    """More code than one API may have."""

    code, title = "code_too_large", "Code too large"


class InvalidStatusError(InvalidInputError):
    """Not a status that this request may set."""

    code, title = "invalid_status", "Invalid status"


class InvalidResourcesError(InvalidInputError):
    """Outside of what one sandbox may have."""

    code, title = "invalid_resources", "Invalid resources"


class InvalidTierError(InvalidInputError):
    """Not a tier that can be asked for."""

    code, title = "invalid_tier", "Invalid tier"


class InvalidInstancesError(InvalidInputError):
    """More sandboxes or calls than one API may have."""

    code, title = "invalid_instances", "Invalid instances"


@dataclass(frozen=True, slots=True)
class ResourceBounds:
    """Smallest and largest value a creator may ask for."""

    low: float
    high: float


BOUNDS: Mapping[str, ResourceBounds] = {
    "memory_mb": ResourceBounds(64, 1024),
    "cpus": ResourceBounds(0.1, 2),
    "pids": ResourceBounds(16, 512),
    "tmp_mb": ResourceBounds(1, 256),
}


INSTANCES_MAX = 10
CONCURRENCY_MAX = 1000
TIERS = tuple(tier for tier in Tier if tier is not Tier.NONE)  # strongest first


def checked_name(name: str) -> str:
    """The name without surrounding space."""
    stripped = name.strip()
    if not 1 <= len(stripped) <= NAME_CHARACTERS:
        raise InvalidNameError(f"A name has 1 to {NAME_CHARACTERS} characters")
    if not stripped.isprintable():
        raise InvalidNameError("A name has printable characters only")
    return stripped


def checked_description(text: str) -> str:
    """Several lines are fine, control characters are not."""
    if len(text) > DESCRIPTION_CHARACTERS:
        raise InvalidTextError(f"A description has at most {DESCRIPTION_CHARACTERS} characters")
    if not all(character.isprintable() or character in _PLAIN_SPACE for character in text):
        raise InvalidTextError("A description has printable characters only")
    return text


def checked_code(code: str, max_bytes: int) -> bytes:
    """The file's bytes. It is not parsed here: only a sandbox reads it."""
    if len(code) > max_bytes:
        raise CodeTooLargeError(f"The code has more than {max_bytes} bytes")
    try:
        encoded = code.encode()
    except UnicodeEncodeError as error:
        raise InvalidCodeError("The code is not valid UTF-8") from error
    if len(encoded) > max_bytes:
        raise CodeTooLargeError(f"The code has more than {max_bytes} bytes")
    if "\0" in code:
        raise InvalidCodeError("The code contains a NUL character")
    if not code.strip():
        raise InvalidCodeError("The code is empty")
    return encoded


def checked_status(status: str, allowed: frozenset[str] = OWNER_STATUSES) -> str:
    """One of the statuses the request may set."""
    if status not in allowed:
        raise InvalidStatusError(f"The status can be set to {' or '.join(sorted(allowed))}")
    return status


def checked_limits(limits: Mapping[str, Any]) -> LimitsJson:
    """Quantity by window; null is unlimited. `Any`: JSON that nobody has looked at yet."""
    return parse_limits(limits)


def checked_resources(asked: Mapping[str, float]) -> dict[str, float]:
    """What was asked for, when each is known and within its bounds."""
    for name, value in asked.items():
        bounds = BOUNDS.get(name)
        if bounds is None:
            raise InvalidResourcesError(f"Unknown resource; known are {', '.join(BOUNDS)}")
        if not math.isfinite(value) or not bounds.low <= value <= bounds.high:
            raise InvalidResourcesError(f"{name} must be {bounds.low:g} to {bounds.high:g}")
    return {name: value if name == "cpus" else int(value) for name, value in asked.items()}


def checked_tier(name: str | None) -> Tier | None:
    """The weakest tier that will do; None asks for nothing."""
    if name is not None and name not in TIERS:
        raise InvalidTierError(f"A tier is one of {', '.join(TIERS)}, or null for any")
    return None if name is None else Tier(name)


def checked_instances(asked: Mapping[str, int]) -> dict[str, int]:
    """What was asked for over the defaults."""
    defaults = asdict(Instances())
    if not asked.keys() <= defaults.keys():
        raise InvalidInstancesError(f"Instances have {', '.join(defaults)}")
    wanted = Instances(**{**defaults, **asked})
    if not 1 <= wanted.max <= INSTANCES_MAX:
        raise InvalidInstancesError(f"max must be 1 to {INSTANCES_MAX}")
    if not 0 <= wanted.min <= wanted.max:
        raise InvalidInstancesError("min must be 0 to max")
    if not 1 <= wanted.concurrency <= CONCURRENCY_MAX:
        raise InvalidInstancesError(f"concurrency must be 1 to {CONCURRENCY_MAX}")
    return asdict(wanted)


def resources_of(stored: Mapping[str, Any]) -> Resources:
    """Stored values over the defaults. `Any`: the JSON column of a row."""
    return Resources(**{name: stored[name] for name in BOUNDS if name in stored})


def resources_view(stored: Mapping[str, Any]) -> ResourcesView:
    """The same for reading."""
    return ResourcesView(**asdict(resources_of(stored)))
