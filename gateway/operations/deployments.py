"""Deployments: which versions answer; change it, undo it, list it."""

from gateway.auth.permissions import Operation
from gateway.errors import InvalidInputError
from gateway.operations import access
from gateway.operations.access import Known
from gateway.operations.ports import Services
from gateway.operations.rehearse import rehearse
from gateway.operations.restart import spec_of
from gateway.operations.values import Deployment, deployment_of
from gateway.operations.versions import VersionNotFoundError
from gateway.store import versions


class InvalidWeightError(InvalidInputError):
    """Not a share of calls."""

    code, title = "invalid_weight", "Invalid weight"


async def deploy_version(
    services: Services, subject: Known, ref: str, n: int, weight: int = 100
) -> Deployment:
    """Let version `n` answer `weight` per cent of the calls; started first, so no call waits."""
    if not 1 <= weight <= 100:
        raise InvalidWeightError("A weight is 1 to 100")
    allowed = await access.require_api(services, subject, ref, Operation.DEPLOY)
    await access.require_running_tenant(services, subject, allowed.tenant_id)
    access.require_running_api(subject, allowed)
    version = await versions.find(services.database, allowed.identity, allowed.id, n)
    if version is None:
        raise VersionNotFoundError
    bundle = await services.bundles.bundle(str(version["id"]))
    if bundle is None:
        raise VersionNotFoundError
    spec = spec_of(allowed.row, str(version["id"]), version["layer"])
    await rehearse(services.sandboxes, spec, bundle)
    actor = access.actor_of(subject)
    row = await versions.deploy(services.database, allowed.id, n, weight, actor)
    services.changes.publish("api", str(allowed.id))
    return deployment_of({**row, "n": row["version"]})


async def roll_back(services: Services, subject: Known, ref: str) -> Deployment:
    """Back to what was fully deployed before. Nothing is started: this must work at once."""
    allowed = await access.require_api(services, subject, ref, Operation.DEPLOY)
    actor = access.actor_of(subject)
    row = await versions.roll_back(services.database, allowed.id, actor)
    services.changes.publish("api", str(allowed.id))
    return deployment_of({**row, "n": row["version"]})


async def list_deployments(
    services: Services, subject: Known, ref: str, limit: int, offset: int
) -> list[Deployment]:
    """Newest first, replaced ones included."""
    allowed = await access.require_api(services, subject, ref, Operation.READ)
    rows = await versions.deployments(
        services.database, allowed.identity, allowed.id, limit, offset
    )
    return [deployment_of(row) for row in rows]
