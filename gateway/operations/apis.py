"""APIs: create from code, list, read, change, delete."""

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import structlog

from gateway.auth import keys
from gateway.auth.permissions import Operation, is_admin
from gateway.errors import ConflictError, SandgateError
from gateway.operations import access, inputs
from gateway.operations.access import Known
from gateway.operations.finish import finish
from gateway.operations.ports import Services
from gateway.operations.rehearse import rehearse, stop_all
from gateway.operations.slugs import slug_of
from gateway.operations.values import ActiveVersion, Api, CreatedApi, optional
from gateway.store import apis
from gateway.store.database import SERVICE, DatabaseError, Identity, Row
from sandbox.types import Bundle, SandboxSpec

_log = structlog.get_logger(__name__)
_SLUG_ATTEMPTS = 6


class ApiSuspendedError(ConflictError):
    """Suspended by an administrator; its owner cannot change the status."""

    code, title = "api_suspended", "The API is suspended"


@dataclass(frozen=True, slots=True)
class NewApi:
    """Input of `create_api`. Without `tenant_id` the user's own tenant is meant."""

    name: str
    code: str
    description: str = ""
    tenant_id: UUID | None = None
    limits: Mapping[str, Any] = field(default_factory=dict)
    resources: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ApiChange:
    """Input of `change_api`; None leaves a thing as it is, a mapping replaces the whole."""

    name: str | None = None
    description: str | None = None
    status: str | None = None  # active or paused
    limits: Mapping[str, Any] | None = None
    resources: Mapping[str, float] | None = None


@dataclass(frozen=True, slots=True)
class _Draft:
    """Everything decided before anything is started or stored."""

    api_id: UUID
    version_id: UUID
    tenant_id: UUID
    name: str
    description: str
    code: str
    digest: str
    limits: Mapping[str, int | None]
    resources: Mapping[str, float]

    @property
    def spec(self) -> SandboxSpec:
        """The sandbox that serves its first version."""
        return SandboxSpec(
            str(self.api_id), str(self.version_id), 1, inputs.resources_of(self.resources)
        )


async def create_api(services: Services, subject: Known, new: NewApi) -> CreatedApi:
    """Start the code, then store API, version 1, deployment and key; all of it or nothing."""
    code = inputs.checked_code(new.code, services.code_bytes)
    name, description = inputs.checked_name(new.name), inputs.checked_description(new.description)
    limits = inputs.checked_limits(new.limits)
    resources = inputs.checked_resources(new.resources)
    tenant_id = await access.require_tenant(services, subject, new.tenant_id, Operation.CREATE_API)
    draft = _Draft(
        api_id=uuid4(),
        version_id=uuid4(),
        tenant_id=tenant_id,
        name=name,
        description=description,
        code=new.code,
        digest=hashlib.sha256(code).hexdigest(),
        limits=limits,
        resources=resources,
    )
    try:
        await rehearse(services.sandboxes, draft.spec, Bundle(draft.code))
        return await finish(_store(services, subject, draft))
    except BaseException:
        await finish(_forget(services, subject, draft.api_id))
        raise


async def list_apis(
    services: Services, subject: Known, tenant_id: UUID | None, limit: int, offset: int
) -> list[Api]:
    """The subject's own APIs, newest first; an administrator may name any tenant."""
    named = tenant_id is not None
    identity = access.identity_of(subject) if named else access.own_identity(subject)
    rows = await apis.page(services.database, identity, tenant_id, limit, offset)
    return await _with_versions(services, identity, rows)


async def read_api(services: Services, subject: Known, ref: str) -> Api:
    """One API by id or slug."""
    allowed = await access.require_api(services, subject, ref, Operation.READ)
    return (await _with_versions(services, allowed.identity, [allowed.row]))[0]


async def change_api(services: Services, subject: Known, ref: str, change: ApiChange) -> Api:
    """Change what is named; the next call already sees it. A paused API holds no sandbox."""
    values = _checked_change(change)
    allowed = await access.require_api(services, subject, ref, Operation.CHANGE_API)
    suspended = allowed.row["status"] == "suspended" and "status" in values
    if suspended and not is_admin(subject):
        raise ApiSuspendedError
    if values:
        await apis.change(services.database, allowed.id, values, access.actor_of(subject))
        services.changes.publish("api", str(allowed.id))
    if values.get("status") == "paused":
        await stop_all(services.sandboxes, str(allowed.id))
    row = await apis.find(services.database, allowed.identity, allowed.id)
    if row is None:
        raise access.ApiNotFoundError
    return (await _with_versions(services, allowed.identity, [row]))[0]


async def delete_api(services: Services, subject: Known, ref: str) -> None:
    """Remove the API, then stop its sandboxes; its keys open it no longer."""
    allowed = await access.require_api(services, subject, ref, Operation.DELETE_API)
    await finish(_remove(services, subject, allowed.id))


async def _remove(services: Services, subject: Known, api_id: UUID) -> None:
    await apis.remove(services.database, api_id, access.actor_of(subject))
    services.changes.publish("api", str(api_id))
    await stop_all(services.sandboxes, str(api_id))


async def _store(services: Services, subject: Known, draft: _Draft) -> CreatedApi:
    key, key_id = keys.generate_key(), uuid4()
    actor = access.actor_of(subject)
    values: dict[str, Any] = {
        "id": str(draft.api_id),
        "tenant_id": str(draft.tenant_id),
        "created_by": optional(actor),
        "name": draft.name,
        "description": draft.description,
        "code": draft.code,
        "digest": draft.digest,
        "version_id": str(draft.version_id),
        "key_id": str(key_id),
        "key_hash": keys.hash_key(key, services.key_secret),
        "key_display": keys.display_form(key),
        "limits": dict(draft.limits),
        "resources": dict(draft.resources),
    }
    await _insert(services, values)
    services.changes.publish("api", str(draft.api_id))
    row = await apis.find(services.database, SERVICE, draft.api_id)
    if row is None:
        raise access.ApiNotFoundError
    api = (await _with_versions(services, SERVICE, [row]))[0]
    return CreatedApi(api, 1, key, str(key_id), keys.display_form(key))


async def _insert(services: Services, values: Mapping[str, Any]) -> None:
    """Store under the first slug that is free."""
    for attempt in range(_SLUG_ATTEMPTS):
        suffix = secrets.token_hex(3) if attempt else ""
        slug = slug_of(values["name"], suffix)
        try:
            await apis.create(services.database, {**values, "slug": slug})
        except DatabaseError as error:
            if error.code != "slug_taken" or attempt == _SLUG_ATTEMPTS - 1:
                raise
        else:
            return


async def _forget(services: Services, subject: Known, api_id: UUID) -> None:
    """Nothing stays of an API whose maker got no answer."""
    try:
        if await apis.exists(services.database, api_id):
            await apis.remove(services.database, api_id, access.actor_of(subject))
    except SandgateError:
        _log.warning("api_not_forgotten", api_id=str(api_id), exc_info=True)
    services.changes.publish("api", str(api_id))
    await stop_all(services.sandboxes, str(api_id))


async def _with_versions(services: Services, identity: Identity, rows: Sequence[Row]) -> list[Api]:
    ids = [str(row["id"]) for row in rows]
    active = await apis.active_deployments(services.database, identity, ids)
    by_api: dict[str, list[ActiveVersion]] = {}
    for row in active:
        versions = by_api.setdefault(str(row["api_id"]), [])
        versions.append(ActiveVersion(row["n"], row["weight"]))
    return [_api_of(row, tuple(by_api.get(str(row["id"]), ()))) for row in rows]


def _api_of(row: Row, versions: tuple[ActiveVersion, ...]) -> Api:
    return Api(
        id=str(row["id"]),
        tenant_id=str(row["tenant_id"]),
        slug=row["slug"],
        name=row["name"],
        description=row["description"] or "",
        status=row["status"],
        generation=row["generation"],
        limits=dict(row["limits"]),
        resources=inputs.resources_view(row["resources"]),
        versions=versions,
        created_by=optional(row["created_by"]),
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


def _checked_change(change: ApiChange) -> dict[str, Any]:
    values: dict[str, Any] = {}
    if change.name is not None:
        values["name"] = inputs.checked_name(change.name)
    if change.description is not None:
        values["description"] = inputs.checked_description(change.description)
    if change.status is not None:
        values["status"] = inputs.checked_status(change.status)
    if change.limits is not None:
        values["limits"] = inputs.checked_limits(change.limits)
    if change.resources is not None:
        values["resources"] = inputs.checked_resources(change.resources)
    return values
