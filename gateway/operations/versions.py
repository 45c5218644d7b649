"""Versions: add one (started before it is stored), list, read."""

import hashlib
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from gateway.auth.permissions import Operation
from gateway.errors import NotFoundError
from gateway.operations import access, inputs
from gateway.operations.access import Known
from gateway.operations.audit import note_read
from gateway.operations.dependencies import lock_of
from gateway.operations.finish import finish
from gateway.operations.openapi import captured, keep
from gateway.operations.ports import Services
from gateway.operations.rehearse import rehearse, withdraw
from gateway.operations.restart import spec_of
from gateway.operations.values import (
    AddedVersion,
    Version,
    VersionSummary,
    optional,
    summary_of,
    version_of,
)
from gateway.store import versions
from gateway.store.documents import StoredDocument
from sandbox.types import Lock


class VersionNotFoundError(NotFoundError):
    """The API has no version of this number."""

    code, title = "version_not_found", "Version not found"


class NoDocumentError(NotFoundError):
    """The version has no OpenAPI document; `detail` says why."""

    code, title = "no_document", "No OpenAPI document"


class NoOriginError(NotFoundError):
    """The version was uploaded, not made from words."""

    code, title = "no_origin", "Not made from words"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a version comes from: what was asked, its contract, and what the gates said of it.

    `Any`: JSON of the generator's.
    """

    job_id: str | None
    prompt: str
    contract: dict[str, Any]
    findings: list[Any]
    report: dict[str, Any] | None
    model: str
    template: str | None
    level: str
    cost_nano_usd: int


@dataclass(frozen=True, slots=True)
class NewVersion:
    """Input of `add_version`. Without `deploy` it can only be called pinned."""

    code: str
    deploy: bool = True


async def add_version(
    services: Services, subject: Known, ref: str, new: NewVersion
) -> AddedVersion:
    """Start the code, store it as the next version, and let it answer when asked to."""
    code = inputs.checked_code(new.code, services.code_bytes)
    allowed = await access.require_api(services, subject, ref, Operation.DEPLOY)
    await access.require_running_tenant(services, subject, allowed.tenant_id)
    access.require_running_api(subject, allowed)
    version_id = uuid4()
    lock = await dependencies(services, new.code)
    spec = spec_of(allowed.row, str(version_id), lock.digest)
    bundle = await services.bundles.bundle_for(str(allowed.id), new.code, lock.text)
    if bundle is None:
        raise access.ApiNotFoundError
    values: dict[str, Any] = {
        "api_id": str(allowed.id),
        "version_id": str(version_id),
        "code": new.code,
        "digest": hashlib.sha256(code).hexdigest(),
        "lock": lock.text,
        "layer": lock.digest,
        "created_by": optional(access.actor_of(subject)),
        "deploy": new.deploy,
    }
    try:
        document = await captured(services, await rehearse(services.sandboxes, spec, bundle))
        added = await finish(_store(services, allowed.id, values, lock, document))
    except BaseException:
        await finish(withdraw(services.sandboxes, spec))
        raise
    if not added.deployed:
        await finish(withdraw(services.sandboxes, spec))
    return added


async def list_versions(
    services: Services, subject: Known, ref: str, limit: int, offset: int
) -> list[VersionSummary]:
    """Newest first, without their code."""
    allowed = await access.require_api(services, subject, ref, Operation.READ)
    rows = await versions.page(services.database, allowed.identity, allowed.id, limit, offset)
    return [summary_of(row) for row in rows]


async def read_version(services: Services, subject: Known, ref: str, n: int) -> Version:
    """One version with its code."""
    allowed = await access.require_api(services, subject, ref, Operation.READ)
    row = await versions.find(services.database, allowed.identity, allowed.id, n)
    if row is None:
        raise VersionNotFoundError
    await note_read(services, subject, allowed, "api.read_code")
    return version_of(row)


async def read_origin(services: Services, subject: Known, ref: str, n: int) -> Origin:
    """What was asked for, and how it was tried before it answered anybody."""
    allowed = await access.require_api(services, subject, ref, Operation.READ)
    row = await versions.find(services.database, allowed.identity, allowed.id, n)
    if row is None:
        raise VersionNotFoundError
    origin = await versions.origin(services.database, allowed.identity, str(row["id"]))
    if origin is None:
        raise NoOriginError
    await note_read(services, subject, allowed, "api.read_code")
    shown = {name: origin[name] for name in Origin.__slots__}
    return Origin(**{**shown, "job_id": optional(origin["job_id"])})


async def read_document(
    services: Services, subject: Known, ref: str, n: int, address: str
) -> dict[str, Any]:
    """What the app of a version said of itself, with the address at which it answers."""
    allowed = await access.require_api(services, subject, ref, Operation.READ)
    row = await versions.document(services.database, allowed.identity, allowed.id, n)
    if row is None:
        raise VersionNotFoundError
    if row["openapi"] is None:
        raise NoDocumentError(row["openapi_note"] or "It was stored before documents were kept.")
    url = f"{address.rstrip('/')}/{allowed.id}@{n}"
    return {**row["openapi"], "servers": [{"url": url}]}


async def dependencies(services: Services, code: str) -> Lock:
    """What the file's own dependencies come to; an empty lock when it states none."""
    return await lock_of(services.sandboxes, code) or Lock("", "", ())


async def _store(
    services: Services,
    api_id: UUID,
    values: dict[str, Any],
    lock: Lock,
    document: StoredDocument,
) -> AddedVersion:
    row = await versions.add(services.database, values)
    await keep(services, str(row["version_id"]), document)
    services.changes.publish("api", str(api_id))
    return AddedVersion(
        id=str(row["version_id"]),
        api_id=str(api_id),
        version=row["n"],
        deployed=row["deployed"],
        packages=lock.packages,
    )
