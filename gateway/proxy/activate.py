"""Turns "this sandbox is needed" into a lease, once however many calls wait for it."""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Protocol

from gateway.errors import NoCapacityError, SandboxesUnavailableError, SandgateError
from gateway.proxy.errors import (
    ApiNotFoundError,
    ApiStartFailedError,
    QueueFullError,
)
from sandbox.types import (
    Bundle,
    CapacityError,
    Lease,
    ManagerUnavailableError,
    SandboxError,
    SandboxSpec,
    StartFailedError,
)

_log = logging.getLogger(__name__)

MAX_WAITING = 5000
FAILED_SECONDS = 2.0  # a start that failed is not tried again by every call that comes


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


class Activation:
    """One start per spec at a time; calls wait for it, boundedly many."""

    def __init__(
        self, manager: Starter, bundles: BundleStore, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._manager = manager
        self._bundles = bundles
        self._clock = clock
        self._starting: dict[SandboxSpec, asyncio.Task[Lease]] = {}
        self._failed: dict[SandboxSpec, tuple[float, SandgateError]] = {}
        self.waiting = 0  # calls in the queue now

    async def lease(self, spec: SandboxSpec) -> Lease:
        """A lease on a sandbox of this spec; the caller keeps the deadline."""
        self._raise_recent_failure(spec)
        if self.waiting >= MAX_WAITING:
            raise QueueFullError("Too many calls wait for a sandbox to start.", retry_after=2)
        task = self._starting.get(spec)
        if task is None:
            task = self._starting[spec] = asyncio.create_task(self._start(spec))
            task.add_done_callback(lambda done: self._finished(spec, done))
        self.waiting += 1
        try:
            return await asyncio.shield(task)  # the start outlives a caller who leaves
        finally:
            self.waiting -= 1

    async def close(self) -> None:
        """Give up what is being started."""
        tasks = list(self._starting.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _start(self, spec: SandboxSpec) -> Lease:
        try:
            return await self._ask(spec)
        except StartFailedError as error:
            raise self._remember(spec, error) from error
        except CapacityError as error:
            raise NoCapacityError(retry_after=5) from error
        except ManagerUnavailableError as error:
            raise SandboxesUnavailableError(retry_after=2) from error
        except SandboxError as error:
            _log.exception("the manager refused %s", spec)
            raise SandboxesUnavailableError(retry_after=5) from error

    async def _ask(self, spec: SandboxSpec) -> Lease:
        """A living one costs no read of its code."""
        lease = await self._manager.find(spec)
        if lease is not None:
            return lease
        bundle = await self._bundles.bundle(spec.version_id)
        if bundle is None:
            raise ApiNotFoundError("This version was deleted.")
        return await self._manager.acquire(spec, bundle)

    def _finished(self, spec: SandboxSpec, task: "asyncio.Task[Lease]") -> None:
        del self._starting[spec]
        if not task.cancelled():
            task.exception()  # counts as seen, also when every caller has left

    def _remember(self, spec: SandboxSpec, error: StartFailedError) -> SandgateError:
        failure = ApiStartFailedError(f"Its code does not start: {_public(error)}")
        now = self._clock()
        self._failed = {each: kept for each, kept in self._failed.items() if kept[0] > now}
        self._failed[spec] = (now + FAILED_SECONDS, failure)
        return failure

    def _raise_recent_failure(self, spec: SandboxSpec) -> None:
        failed = self._failed.get(spec)
        if failed is None:
            return
        until, error = failed
        if self._clock() < until:
            raise error.with_traceback(None)


def _public(error: StartFailedError) -> str:
    """Kind and reason; file, line and traceback are for the owner's log."""
    return f"{error.kind.value}: {error.reason}"[:500]
