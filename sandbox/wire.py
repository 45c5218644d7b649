"""Requests as they cross the manager's socket: typed values from plain JSON, within bounds."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sandbox.types import Bundle, EgressPolicy, Placeholder, Resources, SandboxSpec, Tier

Json = dict[str, Any]

MAX_IDS = 10_000
MAX_TAIL = 10_000
MAX_HOSTS = 100
MAX_NAMES = 128
MAX_ENVIRONMENT_BYTES = 64 * 1024
MAX_REQUIREMENTS = 100
_LONGEST_HOST = 300
_LONGEST_NAME = 128
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_LONGEST_LOCK = 1024 * 1024


class BadRequestError(Exception):
    """The request is not one of ours; the text names what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Acquire:
    """Start or find."""

    spec: SandboxSpec
    bundle: Bundle


@dataclass(frozen=True, slots=True)
class Find:
    """Find only."""

    spec: SandboxSpec


@dataclass(frozen=True, slots=True)
class Renew:
    """More time for these."""

    sandbox_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Retire:
    """Stop one."""

    sandbox_id: str


@dataclass(frozen=True, slots=True)
class Release:
    """This client gives one up; it stops when no other client has a lease on it."""

    sandbox_id: str


@dataclass(frozen=True, slots=True)
class Describe:
    """The OpenAPI document of the app in one."""

    sandbox_id: str


@dataclass(frozen=True, slots=True)
class StopApi:
    """Stop all of an API."""

    api_id: str


@dataclass(frozen=True, slots=True)
class Overdue:
    """A call to this one passed its deadline."""

    sandbox_id: str


@dataclass(frozen=True, slots=True)
class SetEgress:
    """Where the sandboxes of an API may connect to from now on."""

    api_id: str
    policy: EgressPolicy


@dataclass(frozen=True, slots=True)
class MakeLock:
    """Resolve dependencies and make their layer."""

    requirements: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sandboxes:
    """The living and the last ended ones of an API."""

    api_id: str


@dataclass(frozen=True, slots=True)
class Logs:
    """Newest lines of an API."""

    api_id: str
    tail: int


@dataclass(frozen=True, slots=True)
class GetStatus:
    """The manager in one look."""


Request = (
    Acquire
    | Find
    | Renew
    | Retire
    | Release
    | Describe
    | StopApi
    | Overdue
    | SetEgress
    | MakeLock
    | Sandboxes
    | Logs
    | GetStatus
)


def parse_request(message: Json) -> Request:
    """The typed request; unknown operations, fields and values are refused."""
    operation = message.get("op")
    parse = _PARSERS.get(operation) if isinstance(operation, str) else None
    if parse is None:
        raise BadRequestError(f"unknown operation {operation!r:.50}")
    fields, build = parse
    given = set(message) - {"id", "op"}
    if given != set(fields):
        raise BadRequestError(f"{operation} takes exactly: {', '.join(fields) or 'nothing'}")
    try:
        return build(message)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise BadRequestError(f"{operation}: {error}") from error


# No text below repeats a value of a bundle: errors are logged, secrets are not.


def _text(value: Any, limit: int = 200, low: int = 1) -> str:
    if not isinstance(value, str) or not low <= len(value) <= limit:
        raise ValueError(f"expected a text of {low} to {limit} characters")
    return value


def _whole(value: Any, low: int, high: int) -> int:
    if type(value) is not int or not low <= value <= high:
        raise ValueError(f"expected a whole number from {low} to {high}")
    return value


def _number(value: Any, low: float, high: float) -> float:
    if type(value) not in (int, float) or not low <= value <= high:
        raise ValueError(f"expected a number from {low} to {high}")
    return float(value)


def _exactly(value: Any, *fields: str) -> Json:
    if not isinstance(value, dict) or set(value) != set(fields):
        raise ValueError(f"expected an object of {', '.join(fields)}")
    return value


def _texts(value: Any, most: int, longest: int = 200) -> tuple[str, ...]:
    if not isinstance(value, list) or len(value) > most:
        raise ValueError(f"expected a list of at most {most}")
    return tuple(_text(one, longest) for one in value)


def parse_spec(value: Any) -> SandboxSpec:
    """A spec with every value in its bounds."""
    names = ("api_id", "version_id", "generation", "resources", "instance", "tenant_id")
    spec = _exactly(value, *names, "floor", "layer")
    resources = _exactly(spec["resources"], "memory_mb", "cpus", "pids", "tmp_mb")
    return SandboxSpec(
        api_id=_text(spec["api_id"]),
        version_id=_text(spec["version_id"]),
        generation=_whole(spec["generation"], 0, 2**53),
        resources=Resources(
            memory_mb=_whole(resources["memory_mb"], 32, 1024 * 1024),
            cpus=_number(resources["cpus"], 0.01, 1024),
            pids=_whole(resources["pids"], 4, 1_000_000),
            tmp_mb=_whole(resources["tmp_mb"], 1, 1024 * 1024),
        ),
        instance=_whole(spec["instance"], 0, 1000),
        tenant_id=_text(spec["tenant_id"], low=0),
        floor=None if spec["floor"] is None else Tier(spec["floor"]),
        layer=_text(spec["layer"], low=0),
    )


def parse_bundle(value: Any) -> Bundle:
    """A bundle with every value in its bounds; its code is bounded by the frame."""
    bundle = _exactly(value, "code", "environment", "egress", "lock")
    return Bundle(
        code=_text(bundle["code"], 2**32, low=0),
        environment=_environment(bundle["environment"]),
        egress=parse_egress(bundle["egress"]),
        lock=_text(bundle["lock"], _LONGEST_LOCK, low=0),
    )


def _environment(value: Any) -> dict[str, str]:
    if not isinstance(value, dict) or len(value) > MAX_NAMES:
        raise ValueError(f"expected an object of at most {MAX_NAMES} variables")
    size = 0
    for name, text in value.items():
        if not isinstance(text, str) or "\0" in text:
            raise ValueError("the value of a variable must be a text without NUL")
        if len(name) > _LONGEST_NAME or not _NAME.match(name):
            raise ValueError("a variable's name consists of letters, digits and '_'")
        size += len(name.encode("utf-8", "surrogatepass"))
        size += len(text.encode("utf-8", "surrogatepass"))
    if size > MAX_ENVIRONMENT_BYTES:
        raise ValueError(f"the environment is larger than {MAX_ENVIRONMENT_BYTES} bytes")
    return dict(value)


def parse_egress(value: Any) -> EgressPolicy:
    """A policy with every value in its bounds; what a host may look like is the door's to say."""
    policy = _exactly(value, "hosts", "placeholders")
    placeholders = policy["placeholders"]
    if not isinstance(placeholders, dict) or len(placeholders) > MAX_NAMES:
        raise ValueError(f"expected an object of at most {MAX_NAMES} placeholders")
    return EgressPolicy(
        hosts=_texts(policy["hosts"], MAX_HOSTS, _LONGEST_HOST),
        placeholders={_text(text): _placeholder(one) for text, one in placeholders.items()},
    )


def _placeholder(value: Any) -> Placeholder:
    one = _exactly(value, "value", "hosts")
    return Placeholder(
        _text(one["value"], MAX_ENVIRONMENT_BYTES, low=0),
        _texts(one["hosts"], MAX_HOSTS, _LONGEST_HOST),
    )


_PARSERS: dict[str, tuple[tuple[str, ...], Callable[[Json], Request]]] = {
    "acquire": (
        ("spec", "bundle"),
        lambda m: Acquire(parse_spec(m["spec"]), parse_bundle(m["bundle"])),
    ),
    "find": (("spec",), lambda m: Find(parse_spec(m["spec"]))),
    "renew": (("sandbox_ids",), lambda m: Renew(_texts(m["sandbox_ids"], MAX_IDS))),
    "retire": (("sandbox_id",), lambda m: Retire(_text(m["sandbox_id"]))),
    "release": (("sandbox_id",), lambda m: Release(_text(m["sandbox_id"]))),
    "document": (("sandbox_id",), lambda m: Describe(_text(m["sandbox_id"]))),
    "stop_api": (("api_id",), lambda m: StopApi(_text(m["api_id"]))),
    "overdue": (("sandbox_id",), lambda m: Overdue(_text(m["sandbox_id"]))),
    "set_egress": (
        ("api_id", "policy"),
        lambda m: SetEgress(_text(m["api_id"]), parse_egress(m["policy"])),
    ),
    "lock": (
        ("requirements",),
        lambda m: MakeLock(_texts(m["requirements"], MAX_REQUIREMENTS, 300)),
    ),
    "sandboxes": (("api_id",), lambda m: Sandboxes(_text(m["api_id"]))),
    "logs": (
        ("api_id", "tail"),
        lambda m: Logs(_text(m["api_id"]), _whole(m["tail"], 0, MAX_TAIL)),
    ),
    "status": ((), lambda _: GetStatus()),
}
