"""Bodies and answers of administration as JSON; the use cases hold the rules."""

from typing import Annotated, Any, Generic, Literal, TypeVar
from uuid import UUID

from fastapi import Query
from pydantic import BaseModel, Field, StrictBool, StringConstraints, model_validator

from gateway.control.key_models import CreateKeyBody
from gateway.control.models import Body, LimitsBody
from gateway.store.audit_context import REASON_CHARACTERS

Item = TypeVar("Item")
Reason = Annotated[str, StringConstraints(min_length=1, max_length=REASON_CHARACTERS)]
SearchText = Annotated[
    str, Query(max_length=200, pattern=r"^[^\x00]*$", description="part of it, or a whole id")
]
Match = Annotated[
    Literal["contains", "prefix"],
    Query(description="where `q` stands; a beginning is found faster"),
]
After = Annotated[
    str | None, Query(max_length=300, description="`next` of the page before", pattern=r"^[\w-]*$")
]


class KeyPage(BaseModel, Generic[Item]):
    """Part of a list; `next` is the `after` of the following page, null on the last."""

    items: list[Item]
    limit: int
    next: str | None


class UserItem(BaseModel):
    """A person."""

    id: str
    email: str | None
    is_admin: bool
    created_at: str


class TenantItem(BaseModel):
    """A tenant and whose it is."""

    id: str
    name: str
    kind: str
    owner_id: str | None
    owner_email: str | None
    plan: str
    status: str
    suspended_reason: str | None
    suspended_at: str | None
    limits: dict[str, int | None]
    created_at: str


class TenantOfUser(BaseModel):
    """A tenant with the person's role."""

    id: str
    name: str
    kind: str
    plan: str
    status: str
    role: str


class MemberItem(BaseModel):
    """A member of a tenant."""

    user_id: str
    email: str | None
    role: str


class ApiItem(BaseModel):
    """An API, in short."""

    id: str
    tenant_id: str
    slug: str
    name: str
    status: str
    created_at: str


class UsageSummary(BaseModel):
    """Calls of the last thirty days."""

    calls: int
    errors: int
    last_call_at: str | None


class UserView(UserItem):
    """A person with their tenants, and the newest APIs and the usage of those they own."""

    tenants: list[TenantOfUser]
    api_count: int
    apis: list[ApiItem]
    usage: UsageSummary


class TenantView(TenantItem):
    """A tenant with members, newest APIs, keys that are not revoked, and usage."""

    members: list[MemberItem]
    api_count: int
    key_count: int
    apis: list[ApiItem]
    usage: UsageSummary


class SetAdminBody(Body):
    """Whether somebody shall administer this installation, and why."""

    is_admin: StrictBool
    reason: Reason


class ReasonBody(Body):
    """Why; the tenant is told."""

    reason: Reason


class CreateTenantBody(Body):
    """A team; its owner is named by id or by e-mail address."""

    name: str
    owner_id: UUID | None = None
    owner_email: Annotated[str, StringConstraints(max_length=320, pattern=r"^[^\x00]+$")] | None = (
        None
    )
    plan: str = "free"
    limits: LimitsBody = LimitsBody()

    @model_validator(mode="after")
    def _one_owner(self) -> "CreateTenantBody":
        if (self.owner_id is None) == (self.owner_email is None):
            raise ValueError("owner_id or owner_email names the owner")
        return self


class CreateTenantKeyBody(CreateKeyBody):
    """A key of a tenant for some APIs, its own or published ones."""

    tenant_id: UUID
    api_ids: Annotated[list[UUID], Field(min_length=1, max_length=100)]


class AuditView(BaseModel):
    """Who did what to what, when, from where, in which request and why."""

    id: int
    at: str
    actor_id: str | None
    actor: str
    action: str
    target_type: str
    target_id: str
    reason: str | None
    address: str | None
    request_id: str | None
    detail: dict[str, Any]
