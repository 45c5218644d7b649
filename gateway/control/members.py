"""Routes of tenants for the people in them: tenants of one's own, and their members."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from gateway.auth.permissions import Role
from gateway.control.models import Body, Page, PageLimit, PageOffset
from gateway.control.services import Ops
from gateway.control.subject import Signed
from gateway.operations import members, own_tenants
from gateway.operations.members import Member
from gateway.operations.own_tenants import TenantReport
from gateway.operations.values import Tenant

router = APIRouter(prefix="/api/tenants", tags=["tenants"])


class TenantNameBody(Body):
    """What a tenant is called."""

    name: str


class RoleBody(Body):
    """What a member may do."""

    role: Role


class NewMemberBody(Body):
    """Who becomes a member, in which role."""

    user_id: UUID
    role: Role


class TransferBody(Body):
    """The member who becomes the owner."""

    user_id: UUID


@router.post("", status_code=201)
async def create_tenant(
    body: TenantNameBody, response: Response, services: Ops, subject: Signed
) -> Tenant:
    """A tenant of your own, on the free plan; you are its owner."""
    made = await own_tenants.create_tenant(services, subject, body.name)
    response.headers["Location"] = f"/api/tenants/{made.id}"
    return made


@router.get("/{tenant_id}")
async def read_own_tenant(tenant_id: UUID, services: Ops, subject: Signed) -> Tenant:
    """A tenant that you are a member of, with your role."""
    return await own_tenants.read_tenant(services, subject, tenant_id)


@router.patch("/{tenant_id}")
async def rename_tenant(
    tenant_id: UUID, body: TenantNameBody, services: Ops, subject: Signed
) -> Tenant:
    """Give the tenant another name."""
    return await own_tenants.rename_tenant(services, subject, tenant_id, body.name)


@router.delete("/{tenant_id}", status_code=204)
async def delete_tenant(tenant_id: UUID, services: Ops, subject: Signed) -> None:
    """Remove the tenant, its APIs and its keys for good; ledger and recorded calls stay."""
    await own_tenants.delete_tenant(services, subject, tenant_id)


@router.post("/{tenant_id}/transfer")
async def transfer_tenant(
    tenant_id: UUID, body: TransferBody, services: Ops, subject: Signed
) -> Tenant:
    """Make another member the owner; you stay as an admin."""
    return await own_tenants.transfer_tenant(services, subject, tenant_id, body.user_id)


@router.post("/{tenant_id}/leave", status_code=204)
async def leave_tenant(tenant_id: UUID, services: Ops, subject: Signed) -> None:
    """Be no member any more; the last owner cannot go."""
    await members.leave_tenant(services, subject, tenant_id)


@router.get("/{tenant_id}/usage")
async def tenant_usage(
    tenant_id: UUID,
    services: Ops,
    subject: Signed,
    days: Annotated[int, Query(ge=1, le=31)] = 7,
) -> TenantReport:
    """Limits of the tenant, what is left of them, and its calls by day."""
    return await own_tenants.report(services, subject, tenant_id, days)


@router.get("/{tenant_id}/members")
async def list_members(
    tenant_id: UUID, services: Ops, subject: Signed, limit: PageLimit = 50, offset: PageOffset = 0
) -> Page[Member]:
    """The members with their roles, owners first."""
    found = await members.list_members(services, subject, tenant_id, limit, offset)
    return Page(items=found, limit=limit, offset=offset)


@router.post("/{tenant_id}/members", status_code=201)
async def add_member(
    tenant_id: UUID, body: NewMemberBody, services: Ops, subject: Signed
) -> Member:
    """Make a person a member without asking, for administrators; others send an invitation."""
    return await members.add_member(services, subject, tenant_id, body.user_id, body.role)


@router.patch("/{tenant_id}/members/{user_id}")
async def change_member(
    tenant_id: UUID, user_id: UUID, body: RoleBody, services: Ops, subject: Signed
) -> Member:
    """Give a member another role; the last owner keeps theirs."""
    return await members.change_member(services, subject, tenant_id, user_id, body.role)


@router.delete("/{tenant_id}/members/{user_id}", status_code=204)
async def remove_member(tenant_id: UUID, user_id: UUID, services: Ops, subject: Signed) -> None:
    """Take a member out, or leave; APIs and keys stay the tenant's."""
    await members.remove_member(services, subject, tenant_id, user_id)
