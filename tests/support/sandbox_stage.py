"""A stage of real sandboxes, over a manager that a test or a benchmark started."""

import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from generator.contract import Contract
from generator.stage import StageUnavailableError, StartFailed
from sandbox.client import ManagerClient
from sandbox.types import (
    Bundle,
    EgressPolicy,
    Lease,
    SandboxError,
    SandboxSpec,
    StartFailedError,
)


@dataclass(frozen=True, slots=True)
class InSandbox:
    """A candidate that runs."""

    client: ManagerClient
    spec: SandboxSpec
    lease: Lease

    @property
    def socket_path(self) -> str:
        """Where it answers."""
        return self.lease.socket_path

    async def document(self) -> str:
        """What it says of itself."""
        return (await self.client.document(self.lease.sandbox_id)).text

    async def log(self) -> Sequence[str]:
        """The last lines it wrote."""
        return [line.text for line in await self.client.logs(self.spec.api_id)]


@dataclass(frozen=True, slots=True)
class SandboxStage:
    """Every candidate in a sandbox of its own."""

    client: ManagerClient

    @asynccontextmanager
    async def running(self, code: str, contract: Contract) -> AsyncIterator[InSandbox]:
        """See `Stage`."""
        spec = SandboxSpec(str(uuid.uuid4()), str(uuid.uuid4()), tenant_id="tenant")
        lease = await self._started(spec, Bundle(code, egress=_policy(contract)))
        try:
            yield InSandbox(self.client, spec, lease)
        finally:
            await self.client.stop_api(spec.api_id)

    async def _started(self, spec: SandboxSpec, bundle: Bundle) -> Lease:
        try:
            return await self.client.acquire(spec, bundle)
        except StartFailedError as error:
            log = error.log or error.traceback
            raise StartFailed(str(error.kind), error.reason, line=error.line, log=log) from error
        except SandboxError as error:
            raise StageUnavailableError("No sandbox can be had now.") from error


def _policy(contract: Contract) -> EgressPolicy:
    return EgressPolicy(contract.outbound_hosts)
