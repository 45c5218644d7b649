"""Is every part there? And what runs now."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from gateway.deadline import within
from gateway.errors import SandgateError
from gateway.operations import access
from gateway.operations.access import Known
from gateway.operations.ports import Services
from gateway.operations.rehearse import public_error
from gateway.store import apis, tenants
from sandbox.types import SandboxError, TierStatus

_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the installation; `reason` says what is wrong, or what is worth knowing."""

    ok: bool
    reason: str = ""


Probe = Callable[[], Awaitable[Part]]


@dataclass(slots=True)
class Ending:
    """Whether this gateway is about to end: balancers send their calls elsewhere then."""

    has_begun: bool = False


@dataclass(frozen=True, slots=True)
class RunningSandbox:
    """One sandbox of an API."""

    sandbox_id: str
    api_id: str
    version_id: str
    generation: int
    status: str
    age_seconds: float


@dataclass(frozen=True, slots=True)
class Fleet:
    """The sandboxes the subject may know of, and on what they run."""

    runtime: str
    tier: str
    tiers: tuple[TierStatus, ...]
    blanks: int
    sandboxes: tuple[RunningSandbox, ...]


@dataclass(frozen=True, slots=True)
class Readiness:
    """Every part by name, and each tier of isolation with the reason where it is missing."""

    parts: dict[str, Part]
    tiers: tuple[TierStatus, ...]


async def readiness(services: Services, more: Mapping[str, Probe]) -> Readiness:
    """All parts are asked at the same time, none of them longer than two seconds."""
    tiers: tuple[TierStatus, ...] = ()

    async def database() -> Part:
        await tenants.plan_limits(services.database)
        return Part(True)

    async def sandboxes() -> Part:
        nonlocal tiers
        status = await services.sandboxes.status()
        tiers = status.tiers
        missing = f"not enforced here: {', '.join(status.missing)}" if status.missing else ""
        return Part(status.engine_ok, missing if status.engine_ok else status.detail)

    probes: dict[str, Probe] = {"database": database, "sandboxes": sandboxes, **more}
    parts = await asyncio.gather(*(_asked(probe) for probe in probes.values()))
    return Readiness(dict(zip(probes, parts, strict=True)), tiers)


async def fleet(services: Services, subject: Known) -> Fleet:
    """What runs now; people see the sandboxes of their own APIs."""
    try:
        status = await services.sandboxes.status()
    except SandboxError as error:
        raise public_error(error) from error
    running = tuple(
        RunningSandbox(
            sandbox.sandbox_id,
            sandbox.spec.api_id,
            sandbox.spec.version_id,
            sandbox.spec.generation,
            sandbox.status,
            sandbox.age_seconds,
        )
        for sandbox in status.sandboxes
        if sandbox.spec is not None
    )
    ids = sorted({sandbox.api_id for sandbox in running})
    seen = await apis.visible(services.database, access.identity_of(subject), ids)
    return Fleet(
        runtime=status.runtime,
        tier=str(status.tier),
        tiers=status.tiers,
        blanks=len(status.sandboxes) - len(running),
        sandboxes=tuple(sandbox for sandbox in running if sandbox.api_id in seen),
    )


async def _asked(probe: Probe) -> Part:
    try:
        return await within(_SECONDS, probe())
    except TimeoutError:
        return Part(False, f"no answer within {_SECONDS:g} s")
    except SandboxError:
        return Part(False, "the sandbox manager does not answer")
    except SandgateError as error:
        return Part(False, error.title)
