"""Turns "this sandbox is needed" into a lease, or into what its callers are told instead."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

import structlog

from gateway.errors import NoCapacityError, SandboxesUnavailableError, SandgateError
from gateway.proxy.errors import (
    ApiCrashLoopError,
    ApiNotFoundError,
    ApiStartFailedError,
    DependenciesUnavailableError,
    TierUnavailableError,
    VersionRevertedError,
)
from sandbox import types as sandbox
from sandbox.types import Bundle, Lease, SandboxError, SandboxSpec

_log = structlog.get_logger(__name__)

FAILED_SECONDS = 2.0  # a start that failed is not tried again by every call that comes
LOOP_CRASHES = 3  # bad ends in a row that say more about the version than about two calls
PATIENCE_SECONDS = 2.0  # the longest pause that is waited for
_MAX_TEXT = 500

# Given the spec and the reason; answers whether another version serves now.
OnCrashLoop = Callable[[SandboxSpec, str], Awaitable[bool]]


class Starter(Protocol):
    """The part of the manager that starts sandboxes."""

    async def find(self, spec: SandboxSpec) -> Lease | None:
        """The sandbox when it lives."""
        ...

    async def acquire(self, spec: SandboxSpec, bundle: Bundle) -> Lease:
        """Start or find it."""
        ...


class BundleStore(Protocol):
    """Where the bundles of versions come from."""

    async def bundle(self, version_id: str) -> Bundle | None:
        """Code, environment and egress; None when the version is gone."""
        ...


async def _stays(_spec: SandboxSpec, _reason: str) -> bool:
    """Nobody puts another version in its place."""
    return False


class Activation:
    """Asks for one sandbox at a time per spec: who asks sees to that.

    A version that cannot run is reported to `on_crash_loop`. When another one serves in its
    place, the calls that met the failure get VersionRevertedError and are led there.
    """

    def __init__(
        self,
        manager: Starter,
        bundles: BundleStore,
        *,
        on_crash_loop: OnCrashLoop = _stays,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._manager = manager
        self._bundles = bundles
        self._on_crash_loop = on_crash_loop
        self._clock = clock
        self._failed: dict[SandboxSpec, tuple[float, SandgateError | VersionRevertedError]] = {}

    async def lease(self, spec: SandboxSpec) -> Lease:
        """A lease on a sandbox of this spec: the living one, else a new one."""
        self._raise_recent_failure(spec)
        try:
            return await self._ask_patiently(spec)
        except sandbox.StartFailedError as error:
            failure = ApiStartFailedError(f"Its code does not start: {_public(error)}")
            if spec.instance == 0:  # where a further one fails, the first one serves
                raise await self._replaced(spec, failure, _public(error)) from error
            raise self._remember(spec, failure, FAILED_SECONDS) from error
        except sandbox.CrashLoopError as error:
            crashed = ApiCrashLoopError(
                error.crashes, error.end.value, math.ceil(error.retry_seconds)
            )
            seconds = min(FAILED_SECONDS, error.retry_seconds)
            if error.crashes >= LOOP_CRASHES:
                reason = f"{error.end.value}: {error.reason}"[:_MAX_TEXT]
                raise await self._replaced(spec, crashed, reason, seconds) from error
            raise self._remember(spec, crashed, seconds) from error
        except SandboxError as error:
            raise _refused(spec, error) from error

    async def _ask_patiently(self, spec: SandboxSpec) -> Lease:
        """After the first bad ends the manager pauses so briefly that calls can wait for it."""
        try:
            return await self._ask(spec)
        except sandbox.CrashLoopError as error:
            if error.crashes >= LOOP_CRASHES or error.retry_seconds > PATIENCE_SECONDS:
                raise
            await asyncio.sleep(error.retry_seconds)
        return await self._ask(spec)

    async def _ask(self, spec: SandboxSpec) -> Lease:
        """A living one costs no read of its code."""
        lease = await self._manager.find(spec)
        if lease is not None:
            return lease
        bundle = await self._bundles.bundle(spec.version_id)
        if bundle is None:
            raise ApiNotFoundError("This version was deleted.")
        return await self._manager.acquire(spec, bundle)

    async def _replaced(
        self,
        spec: SandboxSpec,
        failure: SandgateError,
        reason: str,
        seconds: float = FAILED_SECONDS,
    ) -> SandgateError | VersionRevertedError:
        """What to raise when this version cannot run: perhaps another one does."""
        if await self._on_crash_loop(spec, reason):
            return self._remember(spec, VersionRevertedError(failure), seconds)
        return self._remember(spec, failure, seconds)

    def _remember(
        self, spec: SandboxSpec, failure: SandgateError | VersionRevertedError, seconds: float
    ) -> SandgateError | VersionRevertedError:
        """Tell it to everybody who asks for a while."""
        now = self._clock()
        self._failed = {each: kept for each, kept in self._failed.items() if kept[0] > now}
        self._failed[spec] = (now + seconds, failure)
        return failure

    def _raise_recent_failure(self, spec: SandboxSpec) -> None:
        failed = self._failed.get(spec)
        if failed is None:
            return
        until, error = failed
        if self._clock() < until:
            raise error.with_traceback(None)


def _refused(spec: SandboxSpec, error: SandboxError) -> SandgateError:
    """What callers are told when the manager gives no lease and the code is not to blame."""
    match error:
        case sandbox.CapacityError():
            return NoCapacityError(str(error)[:_MAX_TEXT], retry_after=5)
        case sandbox.TierUnavailableError():
            return TierUnavailableError(
                "This machine offers no tier as strong as this API asks for.", retry_after=60
            )
        case sandbox.DependencyError():
            return DependenciesUnavailableError(
                "The packages that it depends on cannot be had.", retry_after=30
            )
        case sandbox.ManagerUnavailableError():
            return SandboxesUnavailableError(retry_after=2)
    _log.error("sandbox_refused", exc_info=error, **spec.log_context())
    return SandboxesUnavailableError(retry_after=5)


def _public(error: sandbox.StartFailedError) -> str:
    """Kind and reason; file, line and traceback are for the owner's log."""
    return f"{error.kind.value}: {error.reason}"[:_MAX_TEXT]
