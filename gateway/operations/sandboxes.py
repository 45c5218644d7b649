"""The sandboxes of one API: what serves it, and why the last ones ended."""

from dataclasses import dataclass

from gateway.auth.permissions import Operation
from gateway.operations import access
from gateway.operations.access import Known
from gateway.operations.audit import note_read
from gateway.operations.ports import Services
from gateway.operations.rehearse import clean, public_error
from gateway.store import versions
from sandbox.types import SandboxError, SandboxStatus

MOST = 200  # no API has as many, those that ended included


@dataclass(frozen=True, slots=True)
class ApiSandbox:
    """One sandbox as the API's owner sees it. `end` and `reason` are those of an ended one."""

    id: str
    status: str
    tier: str
    version: int | None  # None when the version is gone
    generation: int
    instance: int
    age_seconds: float
    memory_bytes: int | None
    end: str | None
    reason: str


async def list_sandboxes(services: Services, subject: Known, ref: str) -> list[ApiSandbox]:
    """Living ones first as the manager has them, then those that ended."""
    allowed = await access.require_api(services, subject, ref, Operation.READ_LOGS)
    await note_read(services, subject, allowed, "api.read_sandboxes")
    try:
        found = await services.sandboxes.sandboxes(str(allowed.id))
    except SandboxError as error:
        raise public_error(error) from error
    own = [each for each in found if each.spec and each.spec.api_id == str(allowed.id)]
    ids = sorted({each.spec.version_id for each in own if each.spec})
    numbers = await versions.numbers(services.database, allowed.identity, ids)
    listed = [_seen(each, numbers) for each in own]
    return sorted(listed, key=lambda each: each.status == "ended")[:MOST]


def _seen(status: SandboxStatus, numbers: dict[str, int]) -> ApiSandbox:
    spec = status.spec
    return ApiSandbox(
        id=status.sandbox_id,
        status=status.status,
        tier=str(status.tier),
        version=numbers.get(spec.version_id) if spec else None,
        generation=spec.generation if spec else 0,
        instance=spec.instance if spec else 0,
        age_seconds=status.age_seconds,
        memory_bytes=status.memory_bytes,
        end=None if status.end is None else str(status.end),
        reason=clean(status.reason),
    )
