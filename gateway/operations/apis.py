"""APIs: create from code, list, read, delete."""

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import structlog

from gateway.auth import keys
from gateway.auth.permissions import Operation
from gateway.errors import SandgateError
from gateway.operations import access, inputs
from gateway.operations.access import Known
from gateway.operations.call_settings import checked_call_settings, checked_price
from gateway.operations.egress import checked_egress
from gateway.operations.finish import finish
from gateway.operations.openapi import captured, keep
from gateway.operations.ports import Services
from gateway.operations.rehearse import rehearse, stop_all
from gateway.operations.restart import spec_of
from gateway.operations.slugs import slug_of
from gateway.operations.switches import hosts_in_force
from gateway.operations.tiers import require_tier
from gateway.operations.values import (
    ActiveVersion,
    Api,
    CreatedApi,
    EgressView,
    InstancesView,
    optional,
)
from gateway.operations.versions import dependencies
from gateway.store import apis
from gateway.store.bundles import bundle_of
from gateway.store.call_settings import CallSettings
from gateway.store.database import SERVICE, DatabaseError, Identity, Row
from gateway.store.documents import StoredDocument
from gateway.store.routes import floor_of
from sandbox.types import Lock

_log = structlog.get_logger(__name__)
_SLUG_ATTEMPTS = 6


@dataclass(frozen=True, slots=True)
class NewApi:
    """Input of `create_api`. Without `tenant_id` the user's own tenant is meant."""

    name: str
    code: str
    description: str = ""
    tenant_id: UUID | None = None
    limits: Mapping[str, Any] = field(default_factory=dict)
    resources: Mapping[str, float] = field(default_factory=dict)
    egress: Mapping[str, Any] = field(default_factory=lambda: {"hosts": []})
    tier: str | None = None
    instances: Mapping[str, int] = field(default_factory=dict)
    call_settings: Mapping[str, Any] = field(default_factory=dict)
    price_nano_usd: int = 0


async def create_api(services: Services, subject: Known, new: NewApi) -> CreatedApi:
    """Start the code, then store API, version 1, deployment and key; all of it or nothing."""
    inputs.checked_code(new.code, services.code_bytes)
    values = _checked(new)
    tenant_id = await access.require_tenant(services, subject, new.tenant_id, Operation.CREATE_API)
    await require_tier(services.sandboxes, floor_of(values["tier"]))
    api_id, version_id = uuid4(), uuid4()
    lock = await dependencies(services, new.code)
    values |= {
        "id": str(api_id),
        "tenant_id": str(tenant_id),
        "created_by": optional(access.actor_of(subject)),
        "version_id": str(version_id),
        "lock": lock.text,
        "layer": lock.digest,
    }
    spec = spec_of(values, str(version_id), lock.digest, generation=1)
    hosts = await hosts_in_force(services, values["egress"]["hosts"])
    bundle = bundle_of(new.code, lock.text, hosts)
    try:
        document = await captured(services, await rehearse(services.sandboxes, spec, bundle))
        return await finish(_store(services, api_id, values, lock, document))
    except BaseException:
        await finish(_forget(services, subject, api_id))
        raise


async def list_apis(
    services: Services, subject: Known, tenant_id: UUID | None, limit: int, offset: int
) -> list[Api]:
    """The subject's own APIs, newest first; an administrator may name any tenant."""
    named = tenant_id is not None
    identity = access.identity_of(subject) if named else access.own_identity(subject)
    rows = await apis.page(services.database, identity, tenant_id, limit, offset)
    return await with_versions(services, identity, rows)


async def read_api(services: Services, subject: Known, ref: str) -> Api:
    """One API by id or slug."""
    allowed = await access.require_api(services, subject, ref, Operation.READ)
    return (await with_versions(services, allowed.identity, [allowed.row]))[0]


async def delete_api(services: Services, subject: Known, ref: str) -> None:
    """Remove the API, then stop its sandboxes; its keys open it no longer."""
    allowed = await access.require_api(services, subject, ref, Operation.DELETE_API)
    await finish(_remove(services, subject, allowed.id))


async def _remove(services: Services, subject: Known, api_id: UUID) -> None:
    await apis.remove(services.database, api_id, access.actor_of(subject))
    services.changes.publish("api", str(api_id))
    await stop_all(services.sandboxes, str(api_id))


def _checked(new: NewApi) -> dict[str, Any]:
    """What is stored of it. `Any`: JSON."""
    return {
        "name": inputs.checked_name(new.name),
        "description": inputs.checked_description(new.description),
        "code": new.code,
        "digest": hashlib.sha256(new.code.encode()).hexdigest(),
        "limits": inputs.checked_limits(new.limits),
        "resources": inputs.checked_resources(new.resources),
        "egress": checked_egress(new.egress),
        "tier": inputs.checked_tier(new.tier),
        "instances": inputs.checked_instances(new.instances),
        "call_settings": checked_call_settings(new.call_settings),
        "price_nano_usd": checked_price(new.price_nano_usd),
    }


async def _store(
    services: Services,
    api_id: UUID,
    values: Mapping[str, Any],
    lock: Lock,
    document: StoredDocument,
) -> CreatedApi:
    key, key_id = keys.generate_key(), uuid4()
    key_values = {
        "key_id": str(key_id),
        "key_hash": services.hash_secrets().current.hash(key),
        "key_display": keys.display_form(key),
    }
    await _insert(services, {**values, **key_values})
    await keep(services, values["version_id"], document)
    services.changes.publish("api", str(api_id))
    row = await apis.find(services.database, SERVICE, api_id)
    if row is None:
        raise access.ApiNotFoundError
    api = (await with_versions(services, SERVICE, [row]))[0]
    return CreatedApi(api, 1, lock.packages, key, str(key_id), keys.display_form(key))


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


async def with_versions(services: Services, identity: Identity, rows: Sequence[Row]) -> list[Api]:
    """The rows as values, each with the versions that answer now."""
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
        egress=EgressView(tuple(row["egress"]["hosts"])),
        tier=row["tier"],
        instances=InstancesView(**row["instances"]),
        call_settings=CallSettings.from_row(row["call_settings"]),
        price_nano_usd=row["price_nano_usd"],
        versions=versions,
        created_by=optional(row["created_by"]),
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )
