"""Hot reload: a fresh sandbox of the same code is up before the old one gets no more calls."""

import asyncio
from dataclasses import dataclass

import structlog

from gateway.auth.permissions import Operation
from gateway.errors import SandgateError
from gateway.operations import access
from gateway.operations.access import AllowedApi, Known
from gateway.operations.finish import finish
from gateway.operations.ports import Services
from gateway.operations.rehearse import public_error
from gateway.operations.reload_trial import require_sound
from gateway.operations.restart import (
    current,
    described,
    next_specs,
    rehearse_all,
    withdraw_unused,
)
from gateway.store import apis, generations
from sandbox.types import SandboxError

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
    await generations.forget_all(services.database)  # tells the other gateways
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
            return NotReloaded(api_id, described(error))
        except Exception:  # noqa: BLE001 - one of them must not take the others out
            _log.exception("api_not_reloaded", api_id=api_id)
            return NotReloaded(api_id, "internal_error: see the log of the gateway")


async def _reload(services: Services, subject: Known, allowed: AllowedApi) -> Reloaded:
    """Two reloads at once are one: whoever comes second gets the generation of the first."""
    async with services.turns.of(str(allowed.id)):
        api = await current(services, allowed.id)
        if api["generation"] != allowed.row["generation"]:
            return Reloaded(str(allowed.id), api["generation"])
        await require_sound(services, str(allowed.id))
        specs = await next_specs(services, api)
        try:
            await rehearse_all(services, specs)
            return await finish(_switch(services, subject, allowed, api["generation"]))
        except BaseException:
            await finish(withdraw_unused(services, api, specs))
            raise


async def _switch(
    services: Services, subject: Known, allowed: AllowedApi, generation: int
) -> Reloaded:
    actor = access.actor_of(subject)
    following = await apis.bump_generation(services.database, allowed.id, generation, actor)
    services.changes.publish("api", str(allowed.id))
    return Reloaded(str(allowed.id), following)
