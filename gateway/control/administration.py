"""Routes about people and tenants, for administrators."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Response
from fastapi import Path as PathParameter

from gateway.control.administration_models import (
    After,
    CreateTenantBody,
    CreateTenantKeyBody,
    KeyPage,
    Match,
    ReasonBody,
    SearchText,
    SetAdminBody,
    TenantItem,
    TenantView,
    UserItem,
    UserView,
)
from gateway.control.key_models import CreatedKeyView
from gateway.control.keys import created_fields
from gateway.control.models import PageLimit
from gateway.control.services import Ops
from gateway.control.subject import Administrator
from gateway.operations import administration
from gateway.operations.administration import NewTeam, Query
from gateway.operations.keys import NewKey

router = APIRouter(prefix="/api/admin", tags=["admin"])
Id = Annotated[UUID, PathParameter()]


@router.get("/users")
async def search_users(
    services: Ops,
    subject: Administrator,
    q: SearchText = "",
    match: Match = "contains",
    limit: PageLimit = 50,
    after: After = None,
) -> KeyPage[UserItem]:
    """People by their address, newest first."""
    query = Query(q, match == "prefix", limit, after)
    found = await administration.find_users(services, subject, query)
    items = [UserItem.model_validate(row) for row in found.items]
    return KeyPage(items=items, limit=limit, next=found.following)


@router.get("/users/{user_id}")
async def read_user(user_id: Id, services: Ops, subject: Administrator) -> UserView:
    """A person with tenants, APIs and usage; that you looked is in the audit log."""
    return UserView.model_validate(await administration.read_user(services, subject, user_id))


@router.patch("/users/{user_id}")
async def change_user(
    user_id: Id, body: SetAdminBody, services: Ops, subject: Administrator
) -> UserView:
    """Make somebody an administrator, or no more; open sessions follow within two seconds."""
    changed = await administration.set_admin(services, subject, user_id, body.is_admin, body.reason)
    return UserView.model_validate(changed)


@router.get("/tenants")
async def search_tenants(
    services: Ops,
    subject: Administrator,
    q: SearchText = "",
    match: Match = "contains",
    limit: PageLimit = 50,
    after: After = None,
) -> KeyPage[TenantItem]:
    """Tenants by their name or their owner's address, newest first."""
    query = Query(q, match == "prefix", limit, after)
    found = await administration.find_tenants(services, subject, query)
    items = [TenantItem.model_validate(row) for row in found.items]
    return KeyPage(items=items, limit=limit, next=found.following)


@router.post("/tenants", status_code=201)
async def create_tenant(
    body: CreateTenantBody, response: Response, services: Ops, subject: Administrator
) -> TenantView:
    """A team for somebody who is there already."""
    new = NewTeam(body.name, body.owner_id, body.owner_email, body.plan, body.limits.named())
    made = TenantView.model_validate(await administration.create_team(services, subject, new))
    response.headers["Location"] = f"/api/admin/tenants/{made.id}"
    return made


@router.get("/tenants/{tenant_id}")
async def read_tenant(tenant_id: Id, services: Ops, subject: Administrator) -> TenantView:
    """A tenant with members, APIs and usage; that you looked is in the audit log."""
    found = await administration.read_tenant(services, subject, tenant_id)
    return TenantView.model_validate(found)


@router.post("/tenants/{tenant_id}/suspend")
async def suspend_tenant(
    tenant_id: Id, body: ReasonBody, services: Ops, subject: Administrator
) -> TenantView:
    """Nothing of it runs or is called any more; whoever tries is told the reason."""
    changed = await administration.suspend_tenant(services, subject, tenant_id, body.reason)
    return TenantView.model_validate(changed)


@router.post("/tenants/{tenant_id}/restore")
async def restore_tenant(
    tenant_id: Id, body: ReasonBody, services: Ops, subject: Administrator
) -> TenantView:
    """Everything is as it was before the suspension."""
    changed = await administration.restore_tenant(services, subject, tenant_id, body.reason)
    return TenantView.model_validate(changed)


@router.post("/api-keys", status_code=201)
async def create_key(
    body: CreateTenantKeyBody, services: Ops, subject: Administrator
) -> CreatedKeyView:
    """A key of any tenant for APIs of its own or published ones; shown this once."""
    new = NewKey(
        body.name,
        body.expires_at,
        body.limits.named(),
        body.scopes.named(),
        body.allowed_addresses,
    )
    made = await administration.create_key(services, subject, body.tenant_id, body.api_ids, new)
    return CreatedKeyView.model_validate(created_fields(made))
