"""What goes over the manager's socket: requests, answers and errors as plain JSON values."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sandbox.types import (
    Bundle,
    CapacityError,
    EndReason,
    Lease,
    LogLine,
    ManagerStatus,
    ManagerUnavailableError,
    PoolStatus,
    Resources,
    SandboxError,
    SandboxSpec,
    SandboxStatus,
    StartFailedError,
    StartFailure,
    StartTimes,
    Tier,
    TierStatus,
)

Json = dict[str, Any]

MAX_IDS = 10_000
MAX_TAIL = 10_000


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
class StopApi:
    """Stop all of an API."""

    api_id: str


@dataclass(frozen=True, slots=True)
class Logs:
    """Newest lines of an API."""

    api_id: str
    tail: int


@dataclass(frozen=True, slots=True)
class GetStatus:
    """The manager in one look."""


Request = Acquire | Find | Renew | Retire | StopApi | Logs | GetStatus


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


def _text(value: Any, limit: int = 200) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= limit:
        raise ValueError(f"expected a text of 1 to {limit} characters")
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
        tenant_id=str(spec["tenant_id"])[:200],
        floor=None if spec["floor"] is None else Tier(spec["floor"]),
        layer=str(spec["layer"])[:200],
    )


def _ids(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or len(value) > MAX_IDS:
        raise ValueError(f"expected a list of at most {MAX_IDS}")
    return tuple(_text(one) for one in value)


_PARSERS: dict[str, tuple[tuple[str, ...], Callable[[Json], Request]]] = {
    "acquire": (
        ("spec", "bundle"),
        lambda m: Acquire(parse_spec(m["spec"]), Bundle.from_json(m["bundle"])),
    ),
    "find": (("spec",), lambda m: Find(parse_spec(m["spec"]))),
    "renew": (("sandbox_ids",), lambda m: Renew(_ids(m["sandbox_ids"]))),
    "retire": (("sandbox_id",), lambda m: Retire(_text(m["sandbox_id"]))),
    "stop_api": (("api_id",), lambda m: StopApi(_text(m["api_id"]))),
    "logs": (
        ("api_id", "tail"),
        lambda m: Logs(_text(m["api_id"]), _whole(m["tail"], 0, MAX_TAIL)),
    ),
    "status": ((), lambda _: GetStatus()),
}


# --- answers


def lease_json(lease: Lease | None) -> Json | None:
    """A lease, or nothing found."""
    return None if lease is None else asdict(lease)


def lease_from(value: Json | None) -> Lease | None:
    """Inverse of `lease_json`."""
    if value is None:
        return None
    times = value["times"] and StartTimes(**value["times"])
    return Lease(**{**value, "tier": Tier(value["tier"]), "times": times})


def logs_json(lines: Sequence[LogLine]) -> list[Json]:
    """Log lines."""
    return [asdict(line) for line in lines]


def logs_from(value: list[Json]) -> list[LogLine]:
    """Inverse of `logs_json`."""
    return [LogLine(**line) for line in value]


def status_json(status: ManagerStatus) -> Json:
    """The status."""
    return asdict(status)


def status_from(value: Json) -> ManagerStatus:
    """Inverse of `status_json`."""
    return ManagerStatus(
        runtime=value["runtime"],
        tier=Tier(value["tier"]),
        engine_ok=value["engine_ok"],
        detail=value["detail"],
        missing=tuple(value["missing"]),
        sandboxes=tuple(sandbox_from(one) for one in value["sandboxes"]),
        tiers=tuple(_tier_from(one) for one in value["tiers"]),
        pool=PoolStatus(**value["pool"]),
    )


def sandbox_from(value: Json) -> SandboxStatus:
    """One sandbox's status from its JSON form."""
    return SandboxStatus(
        **{
            **value,
            "spec": value["spec"] and SandboxSpec.from_json(value["spec"]),
            "tier": Tier(value["tier"]),
            "end": value["end"] and EndReason(value["end"]),
        }
    )


def _tier_from(value: Json) -> TierStatus:
    return TierStatus(**{**value, "tier": Tier(value["tier"]), "missing": tuple(value["missing"])})


# --- errors

_START_FIELDS = ("reason", "file", "line", "traceback", "log")


def error_json(error: SandboxError | BadRequestError) -> Json:
    """One of the four types."""
    match error:
        case StartFailedError():
            fields = {name: getattr(error, name) for name in _START_FIELDS}
            return {"type": "start_failed", "kind": str(error.kind), **fields}
        case CapacityError():
            return {"type": "capacity", "reason": str(error)}
        case BadRequestError():
            return {"type": "bad_request", "reason": str(error)}
    return {"type": "unavailable", "reason": str(error)}


def error_from(value: Json) -> Exception:
    """Inverse of `error_json`."""
    reason = str(value.get("reason", ""))
    match value.get("type"):
        case "start_failed":
            details = {name: value[name] for name in _START_FIELDS if name != "reason"}
            return StartFailedError(StartFailure(value["kind"]), reason, **details)
        case "capacity":
            return CapacityError(reason)
        case "bad_request":
            return ValueError(reason)
    return ManagerUnavailableError(reason)
