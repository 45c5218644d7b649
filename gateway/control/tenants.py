"""Routes of tenants, and of the person who asks."""

from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel

from gateway.auth.subject import Admin
from gateway.control.administration_models import TenantView
from gateway.control.models import Page, PatchTenantBody
from gateway.control.services import Ops
from gateway.control.subject import Administrator, Signed
from gateway.operations import administration, tenants
from gateway.operations.values import Tenant

router = APIRouter(prefix="/api", tags=["tenants"])


class Me(BaseModel):
    """Who asks; the admin key is nobody's, so it has no id and no tenant."""

    user_id: str | None
    email: str | None
    is_admin: bool
    tenants: list[Tenant]


@router.get("/me")
async def me(services: Ops, subject: Signed) -> Me:
    """Who you are here."""
    if isinstance(subject, Admin):
        return Me(user_id=None, email=None, is_admin=True, tenants=[])
    own = await tenants.own_tenants(services, subject)
    return Me(
        user_id=str(subject.user_id),
        email=subject.email,
        is_admin=subject.is_admin,
        tenants=own,
    )


@router.get("/tenants")
async def own_tenants(services: Ops, subject: Signed) -> Page[Tenant]:
    """Tenants you are a member of, with your role."""
    own = await tenants.own_tenants(services, subject)
    return Page(items=own, limit=max(1, len(own)), offset=0)


@router.patch("/admin/tenants/{tenant_id}")
async def change_tenant(
    tenant_id: UUID, body: PatchTenantBody, services: Ops, subject: Administrator
) -> TenantView:
    """Change plan, status or limits; the next call already counts by them."""
    change = tenants.TenantChange(
        plan=body.plan,
        status=body.status,
        limits=None if body.limits is None else body.limits.named(),
    )
    await tenants.change_tenant(services, subject, tenant_id, change)
    changed = await administration.tenant_now(services, subject, tenant_id)
    return TenantView.model_validate(changed)
