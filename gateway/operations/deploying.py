"""Deploying what a job made or what an API has, and looking at one deployment by its id."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from uuid import UUID

from gateway.errors import ConflictError, InvalidInputError, NotFoundError
from gateway.operations import access, job_events
from gateway.operations.access import ApiNotFoundError, Known
from gateway.operations.audit import note_read
from gateway.operations.deployments import deploy_version
from gateway.operations.job_events import JobEvent
from gateway.operations.jobs import visible
from gateway.operations.ports import Services
from gateway.operations.values import Deployment, deployment_of
from gateway.operations.versions import VersionNotFoundError
from gateway.store import apis, jobs, versions
from gateway.store.database import Row


class DeploymentNotFoundError(NotFoundError):
    """No such deployment, or it is a stranger's."""

    code, title = "deployment_not_found", "Deployment not found"


class JobNotReadyError(ConflictError):
    """The job has no API yet, or never will have."""

    code, title = "job_not_ready", "The job has made no API"


class OneOfThemError(InvalidInputError):
    """Either an API or a job."""

    code, title = "invalid_deployment", "Invalid deployment"


@dataclass(frozen=True, slots=True)
class NewDeployment:
    """Input of `deploy`: an API with or without a version (the newest), or a job."""

    api_id: str | None = None
    job_id: UUID | None = None
    version: int | None = None
    weight: int = 100


async def deploy(services: Services, subject: Known, new: NewDeployment) -> Deployment:
    """Let it answer; started first, so no call waits."""
    if (new.api_id is None) == (new.job_id is None):
        raise OneOfThemError("Name either api_id or job_id")
    ref, n = new.api_id, new.version
    if new.job_id is not None:
        ref, n = await _made_by(services, subject, new.job_id)
    assert ref is not None
    if n is None:
        n = await _newest(services, subject, ref)
    return await deploy_version(services, subject, ref, n, new.weight)


async def read_deployment(services: Services, subject: Known, deployment_id: UUID) -> Deployment:
    """One, of any API that the subject may see."""
    return deployment_of(await _visible(services, subject, deployment_id))


async def follow(
    services: Services, subject: Known, deployment_id: UUID, after: int
) -> AsyncIterator[JobEvent | None] | None:
    """The events of the job that made what is deployed; otherwise that it was deployed."""
    row = await _visible(services, subject, deployment_id)
    identity = access.identity_of(subject)
    origin = await versions.origin(services.database, identity, str(row["version_id"]))
    job_id = UUID(str(origin["job_id"])) if origin and origin["job_id"] else None
    if job_id is not None and await jobs.find(services.database, identity, job_id):
        return await job_events.begin(services, subject, job_id, after)
    return None if after else _deployed(row)


async def _deployed(row: Row) -> AsyncIterator[JobEvent | None]:
    data = {"api_id": str(row["api_id"]), "version": row["n"], "weight": row["weight"]}
    yield JobEvent(1, row["created_at"], "deployed", "It was deployed.", data)


async def _made_by(services: Services, subject: Known, job_id: UUID) -> tuple[str, int]:
    row = await visible(services, subject, job_id)
    if row["api_id"] is None:
        raise JobNotReadyError(f"The job is {row['status']}")
    return str(row["api_id"]), int(row["version"])


async def _newest(services: Services, subject: Known, ref: str) -> int:
    parsed = access.parse_ref(ref)
    if parsed is None:
        raise ApiNotFoundError
    identity = access.identity_of(subject)
    row = await apis.find(services.database, identity, parsed)
    if row is None:
        raise ApiNotFoundError
    n = await versions.newest(services.database, identity, UUID(str(row["id"])))
    if n is None:
        raise VersionNotFoundError
    return n


async def _visible(services: Services, subject: Known, deployment_id: UUID) -> Row:
    identity = access.identity_of(subject)
    row = await versions.deployment(services.database, identity, deployment_id)
    if row is None:
        raise DeploymentNotFoundError
    api = await apis.find(services.database, identity, UUID(str(row["api_id"])))
    if api is None:
        raise DeploymentNotFoundError
    allowed = access.AllowedApi(api, identity)
    await note_read(services, subject, allowed, "api.read_deployment")
    return row
