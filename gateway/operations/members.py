"""Members of a tenant: who they are, which role each has, and how they go."""

from dataclasses import dataclass
from uuid import UUID

from gateway.auth.permissions import Role
from gateway.auth.subject import User
from gateway.errors import ForbiddenError
from gateway.operations import access
from gateway.operations.access import Known
from gateway.operations.ports import Services
from gateway.store import members
from gateway.store.database import Row


@dataclass(frozen=True, slots=True)
class Member:
    """A person in a tenant."""

    user_id: str
    email: str | None
    role: Role
    created_at: str


async def list_members(
    services: Services, subject: Known, tenant_id: UUID, limit: int, offset: int
) -> list[Member]:
    """Everybody who belongs to it, owners first; for members."""
    actor = access.actor_of(subject)
    rows = await members.people(services.database, tenant_id, actor, limit, offset)
    return [member_of(row) for row in rows]


async def add_member(
    services: Services, subject: Known, tenant_id: UUID, user_id: UUID, role: Role
) -> Member:
    """Make a person a member without asking; for administrators. Everybody else invites."""
    actor = access.actor_of(subject)
    return member_of(await members.add(services.database, tenant_id, user_id, role, actor))


async def change_member(
    services: Services, subject: Known, tenant_id: UUID, user_id: UUID, role: Role
) -> Member:
    """Another role from the next request on; the last owner keeps theirs."""
    actor = access.actor_of(subject)
    return member_of(await members.change(services.database, tenant_id, user_id, role, actor))


async def remove_member(services: Services, subject: Known, tenant_id: UUID, user_id: UUID) -> None:
    """Take somebody out, or go oneself. What they made stays the tenant's."""
    await members.remove(services.database, tenant_id, user_id, access.actor_of(subject))


async def leave_tenant(services: Services, subject: Known, tenant_id: UUID) -> None:
    """Go; the last owner cannot."""
    if not isinstance(subject, User):
        raise ForbiddenError("The admin key is a member of no tenant")
    await members.remove(services.database, tenant_id, subject.user_id, subject.user_id)


def member_of(row: Row) -> Member:
    """From the JSON of a member."""
    return Member(
        user_id=str(row["user_id"]),
        email=row["email"],
        role=Role(row["role"]),
        created_at=row["created_at"],
    )
