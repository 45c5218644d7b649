"""Hot reload: a fresh sandbox of the same code is up before the old one gets no more calls."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import structlog

from gateway.auth.permissions import Operation
from gateway.errors import SandgateError
from gateway.operations import access
from gateway.operations.access import AllowedApi, Known
from gateway.operations.finish import finish
from gateway.operations.inputs import resources_of
from gateway.operations.ports import Services
from gateway.operations.rehearse import public_error, rehearse, withdraw
from gateway.store import apis, versions
from gateway.store.database import SERVICE
from sandbox.types import Bundle, SandboxError, SandboxSpec

_log = structlog.get_logger(__name__)
_AT_ONCE = 3


@dataclass(frozen=True, slots=True)
class Reloaded:
    """One API that is served by fresh sandboxes now."""

    api_id: str
    generation: int


@dataclass(frozen=True, slots=True)
class NotReloaded:
    """One API that goes on as it was, and why."""

    api_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class ReloadReport:
    """Outcome; `generation` is that of the one API asked for."""

    reloaded: tuple[Reloaded, ...]
    failed: tuple[NotReloaded, ...]
    generation: int | None = None


async def reload_api(services: Services, subject: Known, ref: str) -> ReloadReport:
    """Reload one API; when its code does not start again, nothing changes and the error tells."""
    access.require_admin(subject)
    allowed = await access.require_api(services, subject, ref, Operation.CHANGE_API)
    done = await _reload(services, subject, allowed)
    return ReloadReport((done,), (), done.generation)


async def reload_all(services: Services, subject: Known) -> ReloadReport:
    """Reload every API that has a sandbox now, and let caches forget all others."""
    access.require_admin(subject)
    try:
        status = await services.sandboxes.status()
    except SandboxError as error:
        raise public_error(error) from error
    running = {sandbox.spec.api_id for sandbox in status.sandboxes if sandbox.spec is not None}
    gate = asyncio.Semaphore(_AT_ONCE)
    outcomes = await asyncio.gather(
        *(_outcome(services, subject, api_id, gate) for api_id in sorted(running))
    )
    services.changes.publish("all", "")
    return ReloadReport(
        tuple(outcome for outcome in outcomes if isinstance(outcome, Reloaded)),
        tuple(outcome for outcome in outcomes if isinstance(outcome, NotReloaded)),
    )


async def _outcome(
    services: Services, subject: Known, api_id: str, gate: asyncio.Semaphore
) -> Reloaded | NotReloaded:
    async with gate:
        try:
            allowed = await access.require_api(services, subject, api_id, Operation.CHANGE_API)
            return await _reload(services, subject, allowed)
        except SandgateError as error:
            _log.warning("api_not_reloaded", api_id=api_id, code=error.code)
            return NotReloaded(api_id, f"{error.code}: {error.detail}")


async def _reload(services: Services, subject: Known, allowed: AllowedApi) -> Reloaded:
    generation = allowed.row["generation"]
    specs = await _next_specs(services, allowed, generation + 1)
    try:
        for spec in specs:
            code = await _code(services, spec)
            await rehearse(services.sandboxes, spec, Bundle(code))
        return await finish(_switch(services, subject, allowed.id, generation))
    except BaseException:
        await finish(_withdraw_unused(services, allowed, specs))
        raise


async def _code(services: Services, spec: SandboxSpec) -> str:
    code = await versions.code(services.database, spec.version_id)
    if code is None:
        raise access.ApiNotFoundError
    return code


async def _withdraw_unused(
    services: Services, allowed: AllowedApi, specs: Sequence[SandboxSpec]
) -> None:
    """Stop what was started, unless somebody else's reload made it the one in use."""
    row = await apis.find(services.database, SERVICE, allowed.id)
    if row is not None and row["generation"] != allowed.row["generation"]:
        return
    for spec in specs:
        await withdraw(services.sandboxes, spec)


async def _next_specs(
    services: Services, allowed: AllowedApi, generation: int
) -> list[SandboxSpec]:
    """The sandboxes to have ready; none for an API that takes no calls."""
    if allowed.row["status"] != "active":
        return []
    resources = resources_of(allowed.row["resources"])
    active = await apis.active_deployments(services.database, SERVICE, [str(allowed.id)])
    return [
        SandboxSpec(str(allowed.id), str(row["version_id"]), generation, resources)
        for row in active
    ]


async def _switch(services: Services, subject: Known, api_id: UUID, generation: int) -> Reloaded:
    """Two reloads at once are one: whoever comes second gets the generation of the first."""
    actor = access.actor_of(subject)
    following = await apis.bump_generation(services.database, api_id, generation, actor)
    services.changes.publish("api", str(api_id))
    return Reloaded(str(api_id), following)
