"""Tenants as their members live with them: make, read, rename, hand over, delete."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from gateway.auth.subject import User
from gateway.errors import ForbiddenError
from gateway.operations import access, inputs, usage
from gateway.operations.access import Known, TenantNotFoundError
from gateway.operations.finish import finish
from gateway.operations.ports import Services
from gateway.operations.rehearse import stop_all
from gateway.operations.usage import WindowUsage
from gateway.operations.values import LimitsJson, Tenant, tenant_of
from gateway.store import members, tenants

MOST_TENANTS = 10  # each has the calls of its plan, so they cannot be had without end


@dataclass(frozen=True, slots=True)
class DayOfCalls:
    """Calls of one day (UTC): `calls_made` by the tenant's keys, `calls_received` by its APIs.

    `errors` and `response_bytes` are those of its APIs.
    """

    day: str
    calls_made: int
    calls_received: int
    errors: int
    response_bytes: int


@dataclass(frozen=True, slots=True)
class TenantReport:
    """What a tenant may use, what is left of it, and what was called."""

    tenant_id: str
    plan: str
    status: str
    limits: LimitsJson
    windows: tuple[WindowUsage, ...]
    days: tuple[DayOfCalls, ...]


async def create_tenant(services: Services, subject: Known, name: str) -> Tenant:
    """A tenant of one's own beside the personal one, on the free plan."""
    if not isinstance(subject, User):
        raise ForbiddenError("The admin key is nobody's; a tenant needs a person who owns it")
    checked = inputs.checked_name(name)
    row = await members.create_own_tenant(
        services.database, uuid4(), checked, subject.user_id, most=MOST_TENANTS
    )
    return tenant_of(row, "owner")


async def read_tenant(services: Services, subject: Known, tenant_id: UUID) -> Tenant:
    """A tenant that the subject belongs to, suspended or not; administrators read any."""
    rows = await tenants.of_ids(services.database, access.identity_of(subject), [str(tenant_id)])
    if not rows:
        raise TenantNotFoundError
    return tenant_of(rows[0], await _role(services, subject, tenant_id))


async def rename_tenant(services: Services, subject: Known, tenant_id: UUID, name: str) -> Tenant:
    """The tenant under another name; names need not be unique."""
    checked = inputs.checked_name(name)
    actor = access.actor_of(subject)
    row = await members.rename(services.database, tenant_id, checked, actor)
    return tenant_of(row, await _role(services, subject, tenant_id))


async def transfer_tenant(
    services: Services, subject: Known, tenant_id: UUID, user_id: UUID
) -> Tenant:
    """Make another member the owner; who hands over stays as an admin."""
    actor = access.actor_of(subject)
    row = await members.transfer(services.database, tenant_id, user_id, actor)
    return tenant_of(row, await _role(services, subject, tenant_id))


async def delete_tenant(services: Services, subject: Known, tenant_id: UUID) -> None:
    """Remove the tenant with its APIs and keys; what was called and paid stays recorded."""
    await finish(_delete(services, subject, tenant_id))


async def _delete(services: Services, subject: Known, tenant_id: UUID) -> None:
    api_ids = await members.remove_tenant(services.database, tenant_id, access.actor_of(subject))
    services.changes.publish("tenant", str(tenant_id))
    for api_id in api_ids:  # nothing answers any more before the first sandbox is stopped
        services.changes.publish("api", api_id)
    for api_id in api_ids:
        await stop_all(services.sandboxes, api_id)


async def report(services: Services, subject: Known, tenant_id: UUID, days: int) -> TenantReport:
    """Limits, what is left of them, and the calls of the last days; for every member."""
    since = datetime.fromtimestamp(services.clock(), UTC) - timedelta(days=days)
    actor = access.actor_of(subject)
    called = await members.usage(services.database, tenant_id, actor, since)
    tenant = await read_tenant(services, subject, tenant_id)
    now = await usage.tenant_usage(services, subject, tenant)
    return TenantReport(
        tenant_id=tenant.id,
        plan=tenant.plan,
        status=tenant.status,
        limits=now.limits,
        windows=now.windows,
        days=tuple(DayOfCalls(**row) for row in called),
    )


async def _role(services: Services, subject: Known, tenant_id: UUID) -> str | None:
    if not isinstance(subject, User):
        return None
    identity = access.own_identity(subject)
    return await tenants.role(services.database, tenant_id, subject.user_id, identity=identity)
