"""Answers and errors as they cross the manager's socket, to plain JSON and back."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from sandbox.types import (
    AppDocument,
    CapacityError,
    CrashLoopError,
    DependencyError,
    EndReason,
    Lease,
    Lock,
    LogLine,
    ManagerStatus,
    ManagerUnavailableError,
    PoolStatus,
    SandboxError,
    SandboxSpec,
    SandboxStatus,
    StartFailedError,
    StartFailure,
    StartTimes,
    Tier,
    TierStatus,
    TierUnavailableError,
)
from sandbox.wire import BadRequestError

Json = dict[str, Any]


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


def lock_json(lock: Lock) -> Json:
    """A lock."""
    return asdict(lock)


def lock_from(value: Json) -> Lock:
    """Inverse of `lock_json`."""
    return Lock(value["digest"], value["text"], tuple(value["packages"]))


def document_json(document: AppDocument) -> Json:
    """A document, still as text."""
    return asdict(document)


def document_from(value: Json) -> AppDocument:
    """Inverse of `document_json`."""
    return AppDocument(value["text"], value["note"])


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
        sandboxes=tuple(sandboxes_from(value["sandboxes"])),
        tiers=tuple(_tier_from(one) for one in value["tiers"]),
        pool=PoolStatus(**value["pool"]),
    )


def sandboxes_json(sandboxes: Sequence[SandboxStatus]) -> list[Json]:
    """Statuses of sandboxes."""
    return [asdict(one) for one in sandboxes]


def sandboxes_from(value: list[Json]) -> list[SandboxStatus]:
    """Inverse of `sandboxes_json`."""
    return [_sandbox_from(one) for one in value]


def _sandbox_from(value: Json) -> SandboxStatus:
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
    """One of the types that `error_from` knows."""
    match error:
        case StartFailedError():
            fields = {name: getattr(error, name) for name in _START_FIELDS}
            return {"type": "start_failed", "kind": str(error.kind), **fields}
        case CrashLoopError():
            return {
                "type": "crash_loop",
                "reason": error.reason,
                "end": str(error.end),
                "crashes": error.crashes,
                "retry_seconds": error.retry_seconds,
            }
        case DependencyError():
            return {"type": "dependency", "reason": error.reason, "detail": error.detail}
        case CapacityError():
            return {"type": "capacity", "reason": str(error)}
        case TierUnavailableError():
            return {"type": "tier_unavailable", "reason": str(error)}
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
        case "crash_loop":
            return CrashLoopError(
                reason,
                end=EndReason(value["end"]),
                crashes=value["crashes"],
                retry_seconds=value["retry_seconds"],
            )
        case "dependency":
            return DependencyError(reason, detail=value["detail"])
        case "capacity":
            return CapacityError(reason)
        case "tier_unavailable":
            return TierUnavailableError(reason)
        case "bad_request":
            return ValueError(reason)
    return ManagerUnavailableError(reason)
