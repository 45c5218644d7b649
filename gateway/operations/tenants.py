"""Tenants: one's own, and what administrators change."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from gateway.auth.subject import Admin
from gateway.errors import InvalidInputError
from gateway.operations import access, inputs
from gateway.operations.access import Known, TenantNotFoundError
from gateway.operations.ports import Services
from gateway.operations.values import Tenant, tenant_of
from gateway.store import tenants


class UnknownPlanError(InvalidInputError):
    """No plan of this name."""

    code, title = "unknown_plan", "Unknown plan"


@dataclass(frozen=True, slots=True)
class TenantChange:
    """Input of `change_tenant`; None leaves a thing as it is, `limits` replaces all overrides."""

    plan: str | None = None
    status: str | None = None  # active or suspended
    limits: Mapping[str, Any] | None = None


async def own_tenants(services: Services, subject: Known) -> list[Tenant]:
    """Tenants the user is a member of; the admin key is a member of none."""
    if isinstance(subject, Admin):
        return []
    identity = access.own_identity(subject)
    roles = await tenants.memberships(services.database, subject.user_id, identity=identity)
    rows = await tenants.of_ids(services.database, identity, list(roles))
    return [tenant_of(row, roles[str(row["id"])]) for row in rows]


async def read_tenant(services: Services, subject: Known, tenant_id: UUID) -> Tenant:
    """Any tenant; for administrators."""
    access.require_admin(subject)
    row = await tenants.find(services.database, tenant_id)
    if row is None:
        raise TenantNotFoundError
    return tenant_of(row)


async def change_tenant(
    services: Services, subject: Known, tenant_id: UUID, change: TenantChange
) -> Tenant:
    """Change plan, status or limits; the next call already counts by them."""
    access.require_admin(subject)
    values = await _checked_change(services, change)
    await read_tenant(services, subject, tenant_id)
    if values:
        actor = access.actor_of(subject)
        await tenants.change(services.database, tenant_id, values, actor)
        services.changes.publish("tenant", str(tenant_id))
    return await read_tenant(services, subject, tenant_id)


async def _checked_change(services: Services, change: TenantChange) -> dict[str, Any]:
    values: dict[str, Any] = {}
    if change.plan is not None:
        if change.plan not in await tenants.plan_limits(services.database):
            raise UnknownPlanError("No plan of this name exists")
        values["plan"] = change.plan
    if change.status is not None:
        values["status"] = inputs.checked_status(change.status, inputs.TENANT_STATUSES)
    if change.limits is not None:
        values["limits"] = inputs.checked_limits(change.limits)
    return values
