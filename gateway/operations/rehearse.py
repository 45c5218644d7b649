"""Start code in a sandbox before anything is stored; what fails is told in its owner's words."""

import math

import structlog

from gateway.errors import (
    InvalidInputError,
    NoCapacityError,
    SandboxesUnavailableError,
    SandgateError,
)
from gateway.operations.finish import finish
from gateway.operations.ports import Sandboxes
from sandbox.types import (
    Bundle,
    CapacityError,
    CrashLoopError,
    DependencyError,
    Lease,
    SandboxError,
    SandboxSpec,
    StartFailedError,
    TierUnavailableError,
)

_log = structlog.get_logger(__name__)
_TEXT_CHARACTERS = 64 * 1024


class ApiStartFailedError(InvalidInputError):
    """The user's own code did not come up."""

    code, title = "api_start_failed", "The code did not start"


class ApiCrashLoopError(InvalidInputError):
    """The user's own code keeps crashing and is left alone for a while."""

    code, title = "api_crash_loop", "The code keeps crashing"


class DependenciesUnavailableError(InvalidInputError):
    """The packages that the code asks for cannot be had."""

    code, title = "dependencies_unavailable", "Dependencies cannot be installed"


class TierUnavailableHereError(InvalidInputError):
    """No sandbox here isolates as strongly as was asked for; a weaker one is never used."""

    code, title = "tier_unavailable", "This isolation is not available here"


async def rehearse(sandboxes: Sandboxes, spec: SandboxSpec, bundle: Bundle) -> Lease:
    """A sandbox of this code that answered its first request.

    When the caller is cancelled the start still ends first, so that it can be withdrawn.
    """
    try:
        return await finish(sandboxes.acquire(spec, bundle))
    except SandboxError as error:
        raise public_error(error) from error


def public_error(error: SandboxError) -> SandgateError:
    """The manager's answer as a failure with status and code."""
    if isinstance(error, StartFailedError):
        return ApiStartFailedError(_sentence(error), extra={"failure": _failure(error)})
    if isinstance(error, CrashLoopError):
        return _crash_loop(error)
    if isinstance(error, DependencyError):
        failure = {"reason": clean(error.reason), "log": clean(error.detail)}
        return DependenciesUnavailableError(clean(error.reason), extra={"failure": failure})
    if isinstance(error, TierUnavailableError):
        return TierUnavailableHereError(clean(str(error)))
    if isinstance(error, CapacityError):
        return NoCapacityError(retry_after=5)
    return SandboxesUnavailableError(retry_after=2)


async def withdraw(sandboxes: Sandboxes, spec: SandboxSpec) -> None:
    """Stop the sandbox of this spec when it lives; its idle time would end it anyway."""
    try:
        lease = await sandboxes.find(spec)
        if lease is not None:
            await sandboxes.retire(lease.sandbox_id)
    except SandboxError:
        _log.warning("sandbox_not_withdrawn", api_id=spec.api_id, exc_info=True)


async def stop_all(sandboxes: Sandboxes, api_id: str) -> None:
    """Stop every sandbox of an API; the manager's own timer is the second line."""
    try:
        await sandboxes.stop_api(api_id)
    except SandboxError:
        _log.warning("sandboxes_not_stopped", api_id=api_id, exc_info=True)


def clean(text: str) -> str:
    """Text out of a sandbox, cut to size and without what UTF-8 cannot carry."""
    return text[-_TEXT_CHARACTERS:].encode("utf-8", "replace").decode()


def _crash_loop(error: CrashLoopError) -> ApiCrashLoopError:
    seconds = max(1, math.ceil(error.retry_seconds))
    failure = {
        "kind": str(error.end),
        "reason": clean(error.reason),
        "crashes": error.crashes,
        "retry_seconds": seconds,
    }
    return ApiCrashLoopError(
        clean(error.reason),
        headers={"Retry-After": str(seconds)},
        extra={"failure": failure},
    )


def _failure(error: StartFailedError) -> dict[str, object]:
    return {
        "kind": str(error.kind),
        "file": clean(error.file),
        "line": error.line,
        "reason": clean(error.reason),
        "traceback": clean(error.traceback),
        "log": clean(error.log),
    }


def _sentence(error: StartFailedError) -> str:
    place = clean(error.file) + (f", line {error.line}" if error.line is not None else "")
    return f"{place}: {clean(error.reason)}"
