"""Where a candidate is tried: a sandbox like an API's, of nobody, gone when the trial is over."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from uuid import uuid4

from gateway.errors import InvalidInputError, SandgateError
from gateway.operations.dependencies import lock_of
from gateway.operations.egress import InvalidEgressError, checked_hosts
from gateway.operations.finish import finish
from gateway.operations.ports import Sandboxes, Services
from gateway.operations.rehearse import clean, stop_all
from gateway.operations.switches import hosts_in_force
from gateway.store.bundles import bundle_of
from gateway.store.staged_kv import new_stage_id
from generator.contract import Contract
from generator.stage import StageUnavailableError, StartFailed
from sandbox.types import (
    Bundle,
    CrashLoopError,
    Lease,
    Lock,
    SandboxError,
    SandboxSpec,
    StartFailedError,
)

LOG_LINES = 200
_TRIES = 5  # while every sandbox is in use
_PAUSE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class StagedSandbox:
    """A candidate that runs; its bytes, its document and its lines are hostile."""

    sandboxes: Sandboxes
    spec: SandboxSpec
    lease: Lease

    @property
    def socket_path(self) -> str:
        """Where it answers."""
        return self.lease.socket_path

    async def document(self) -> str:
        """What the app says of itself."""
        with suppress(SandboxError):
            return (await self.sandboxes.document(self.lease.sandbox_id)).text
        return ""

    async def log(self) -> Sequence[str]:
        """The last lines it wrote."""
        with suppress(SandboxError):
            lines = await self.sandboxes.logs(self.spec.api_id, LOG_LINES)
            return [clean(line.text) for line in lines]
        return []


@dataclass(frozen=True, slots=True)
class PlatformStage:
    """A `Stage` of the generator's over the manager, on the account of one tenant."""

    services: Services
    tenant_id: str

    @asynccontextmanager
    async def running(self, code: str, contract: Contract) -> AsyncIterator[StagedSandbox]:
        """The candidate until the block ends; only the contract's hosts can be reached."""
        sandboxes = self.services.sandboxes
        lock = await self._lock(code)
        hosts = await self._hosts(contract)
        spec = SandboxSpec(
            new_stage_id(), str(uuid4()), tenant_id=self.tenant_id, layer=lock.digest
        )
        bundle = bundle_of(code, lock.text, hosts)
        try:
            lease = await self._started(spec, bundle)
            keeping = asyncio.create_task(_keep(sandboxes, spec, bundle, lease.seconds))
            try:
                yield StagedSandbox(sandboxes, spec, lease)
            finally:
                keeping.cancel()
        finally:
            await finish(stop_all(sandboxes, spec.api_id))

    async def _started(self, spec: SandboxSpec, bundle: Bundle) -> Lease:
        for left in reversed(range(_TRIES)):
            try:
                return await finish(self.services.sandboxes.acquire(spec, bundle))
            except StartFailedError as error:
                log = clean(error.log or error.traceback)
                raise StartFailed(
                    str(error.kind), clean(error.reason), line=error.line, log=log
                ) from error
            except CrashLoopError as error:
                raise StartFailed("exited", clean(error.reason)) from error
            except SandboxError as error:
                if not left:
                    raise StageUnavailableError("No sandbox can be had at the moment.") from error
            await asyncio.sleep(_PAUSE_SECONDS)
        raise AssertionError("the last try returns or raises")

    async def _lock(self, code: str) -> Lock:
        try:
            return await lock_of(self.services.sandboxes, code) or Lock("", "", ())
        except InvalidInputError as error:
            raise StartFailed("dependencies", error.detail) from error
        except SandgateError as error:
            raise StageUnavailableError(error.title) from error

    async def _hosts(self, contract: Contract) -> Sequence[str]:
        try:
            return await hosts_in_force(self.services, checked_hosts(contract.outbound_hosts))
        except InvalidEgressError as error:
            raise StartFailed("exception", error.detail) from error
        except SandgateError as error:
            raise StageUnavailableError(error.title) from error


async def _keep(sandboxes: Sandboxes, spec: SandboxSpec, bundle: Bundle, seconds: float) -> None:
    """Renew the lease while the trial lasts; a sandbox that ended by itself stays ended."""
    while True:
        await asyncio.sleep(seconds / 2)
        with suppress(SandboxError):
            if await sandboxes.find(spec) is not None:
                await sandboxes.acquire(spec, bundle)
