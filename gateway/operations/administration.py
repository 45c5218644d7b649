"""What administrators do to people and tenants: find, look at, suspend, make."""

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, TypeVar
from uuid import UUID, uuid4

from gateway.errors import ConflictError, InvalidInputError, NotFoundError
from gateway.operations import access, inputs
from gateway.operations.access import Known, TenantNotFoundError
from gateway.operations.finish import finish
from gateway.operations.keys import CreatedKey, NewKey, store_key
from gateway.operations.ports import Services
from gateway.operations.tenants import UnknownPlanError
from gateway.store import administration, audit, audit_context, tenants
from gateway.store.administration import Search
from gateway.store.database import Row

USAGE_DAYS = 30
Item = TypeVar("Item")


class UserNotFoundError(NotFoundError):
    """Nobody has this id or address."""

    code, title = "user_not_found", "User not found"


class OwnAdminError(ConflictError):
    """Somebody else has to take an administrator's rights away."""

    code, title = "own_admin", "You cannot take this from yourself"


class InvalidReasonError(InvalidInputError):
    """What is done to somebody has a reason that can be read."""

    code, title = "invalid_reason", "Invalid reason"


@dataclass(frozen=True, slots=True)
class Query:
    """What is looked for: part of a name or address, its beginning, or an id."""

    text: str
    is_prefix: bool
    limit: int
    after: str | None


@dataclass(frozen=True, slots=True)
class Found(Generic[Item]):
    """A page; `following` leads to the next one, None when this is the last."""

    items: Sequence[Item]
    following: str | None


@dataclass(frozen=True, slots=True)
class NewTeam:
    """Input of `create_team`; one of the two names the owner."""

    name: str
    owner_id: UUID | None
    owner_email: str | None
    plan: str
    limits: Mapping[str, Any]


async def find_users(services: Services, subject: Known, query: Query) -> Found[Row]:
    """People, newest first."""
    access.require_admin(subject)
    rows = await administration.search(services.database, "admin_users", _search(query))
    return _found(rows, query.limit)


async def find_tenants(services: Services, subject: Known, query: Query) -> Found[Row]:
    """Tenants by their name or their owner's address, newest first."""
    access.require_admin(subject)
    rows = await administration.search(services.database, "admin_tenants", _search(query))
    return _found(rows, query.limit)


async def read_user(services: Services, subject: Known, user_id: UUID) -> Row:
    """A person with tenants, APIs and usage."""
    access.require_admin(subject)
    row = await administration.user(services.database, user_id, _since(services))
    if row is None:
        raise UserNotFoundError
    await _note(services, subject, "user.read", ("user", str(user_id)))
    return row


async def read_tenant(services: Services, subject: Known, tenant_id: UUID) -> Row:
    """A tenant with members, APIs and usage."""
    row = await tenant_now(services, subject, tenant_id)
    await _note(services, subject, "tenant.read", ("tenant", str(tenant_id)))
    return row


async def tenant_now(services: Services, subject: Known, tenant_id: UUID) -> Row:
    """The same for whoever has just changed it."""
    access.require_admin(subject)
    row = await administration.tenant(services.database, tenant_id, _since(services))
    if row is None:
        raise TenantNotFoundError
    return row


async def set_admin(
    services: Services, subject: Known, user_id: UUID, is_admin: bool, reason: str
) -> Row:
    """Make somebody an administrator, or no more; sessions know within two seconds."""
    access.require_admin(subject)
    audit_context.tell(checked_reason(reason))
    actor = access.actor_of(subject)
    if actor == user_id and not is_admin:
        raise OwnAdminError("Another administrator has to do this.")
    await administration.set_admin(services.database, user_id, is_admin, actor)
    row = await administration.user(services.database, user_id, _since(services))
    if row is None:
        raise UserNotFoundError
    return row


async def suspend_tenant(services: Services, subject: Known, tenant_id: UUID, reason: str) -> Row:
    """Nothing of it runs or is called any more; whoever tries is told the reason."""
    return await _set_status(services, subject, tenant_id, "suspended", reason)


async def restore_tenant(services: Services, subject: Known, tenant_id: UUID, reason: str) -> Row:
    """Everything is as it was before."""
    return await _set_status(services, subject, tenant_id, "active", reason)


async def create_team(services: Services, subject: Known, new: NewTeam) -> Row:
    """A tenant for somebody who is there already."""
    access.require_admin(subject)
    values = {
        "name": inputs.checked_name(new.name),
        "owner_id": None if new.owner_id is None else str(new.owner_id),
        "owner_email": new.owner_email,
        "plan": new.plan,
        "limits": inputs.checked_limits(new.limits),
    }
    if new.plan not in await tenants.plan_limits(services.database):
        raise UnknownPlanError("No plan of this name exists")
    actor = access.actor_of(subject)
    made = await administration.create_team(services.database, values, actor)
    services.changes.publish("tenant", str(made))
    return await tenant_now(services, subject, made)


async def create_key(
    services: Services, subject: Known, tenant_id: UUID, api_ids: Sequence[UUID], new: NewKey
) -> CreatedKey:
    """A key of any tenant, for APIs of its own or published ones."""
    access.require_admin(subject)
    if await tenants.find(services.database, tenant_id) is None:
        raise TenantNotFoundError
    opened = tuple(dict.fromkeys(str(api_id) for api_id in api_ids))
    return await store_key(services, subject, uuid4(), (tenant_id, opened), new)


def checked_reason(text: str) -> str:
    """In one line, so that it is the same wherever it is shown."""
    reason = " ".join(text.split())
    if not 1 <= len(reason) <= audit_context.REASON_CHARACTERS or not reason.isprintable():
        most = audit_context.REASON_CHARACTERS
        raise InvalidReasonError(f"A reason has 1 to {most} printable characters")
    return reason


async def _set_status(
    services: Services, subject: Known, tenant_id: UUID, status: str, reason: str
) -> Row:
    access.require_admin(subject)
    checked = checked_reason(reason)
    audit_context.tell(checked)
    actor = access.actor_of(subject)

    async def change() -> None:
        await administration.set_tenant_status(services.database, tenant_id, status, checked, actor)
        services.changes.publish("tenant", str(tenant_id))

    await finish(change())
    return await tenant_now(services, subject, tenant_id)


async def _note(services: Services, subject: Known, action: str, target: tuple[str, str]) -> None:
    audit_context.tell()
    await audit.record(services.database, access.actor_of(subject), action, target)


def _since(services: Services) -> datetime:
    return datetime.fromtimestamp(services.clock(), UTC) - timedelta(days=USAGE_DAYS)


def _search(query: Query) -> Search:
    after = None if query.after is None else _position(query.after)
    return Search(query.text.strip(), query.is_prefix, query.limit, after)


def _found(rows: Sequence[Row], limit: int) -> Found[Row]:
    last = rows[-1] if len(rows) == limit else None
    return Found(rows, None if last is None else _cursor(last))


def _cursor(row: Row) -> str:
    text = json.dumps([row["created_at"], str(row["id"])])
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _position(cursor: str) -> tuple[str, str]:
    try:
        found = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        at, identifier = found
        return datetime.fromisoformat(at).isoformat(), str(UUID(identifier))
    except (ValueError, TypeError, AttributeError, binascii.Error) as error:
        raise InvalidInputError("`after` is not the `next` of a page") from error
