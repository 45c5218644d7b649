"""May this subject do that? The one place where use cases ask."""

import re
from dataclasses import dataclass
from uuid import UUID

from gateway.auth.permissions import Operation, Role, is_admin, permitted
from gateway.auth.permissions import require_admin as require_admin
from gateway.auth.subject import Admin, User
from gateway.errors import ConflictError, ForbiddenError, InvalidInputError, NotFoundError
from gateway.logs import note
from gateway.operations.ports import Services
from gateway.store import api_keys, apis, tenants
from gateway.store.database import SERVICE, Identity, Row

Known = User | Admin

_SLUG = re.compile(r"[a-z0-9][a-z0-9-]{0,79}")


class ApiNotFoundError(NotFoundError):
    """No such API, or it belongs to a tenant the subject is no member of."""

    code, title = "api_not_found", "API not found"


class KeyNotFoundError(NotFoundError):
    """No such key, or it is a stranger's."""

    code, title = "key_not_found", "Key not found"


class TenantNotFoundError(NotFoundError):
    """No such tenant, or the subject is no member."""

    code, title = "tenant_not_found", "Tenant not found"


class TenantSuspendedError(ForbiddenError):
    """The tenant may run nothing until an administrator restores it."""

    code, title = "tenant_suspended", "The tenant is suspended"


class ApiSuspendedError(ConflictError):
    """Suspended by an administrator; its owner neither starts it nor changes the status."""

    code, title = "api_suspended", "The API is suspended"


class TenantRequiredError(InvalidInputError):
    """The admin key belongs to no tenant, so the request must name one."""

    code, title = "tenant_required", "tenant_id is required with the admin key"


@dataclass(frozen=True, slots=True)
class AllowedApi:
    """An API the subject may use for the operation asked about, as the subject reads it."""

    row: Row
    identity: Identity

    @property
    def id(self) -> UUID:
        """Its id."""
        return UUID(str(self.row["id"]))

    @property
    def tenant_id(self) -> UUID:
        """Its owner."""
        return UUID(str(self.row["tenant_id"]))


def identity_of(subject: Known) -> Identity:
    """Administrators read as the service, everybody else under row-level security."""
    if is_admin(subject):
        return SERVICE
    return own_identity(subject)


def own_identity(subject: Known) -> Identity:
    """People read as themselves, administrators too."""
    if isinstance(subject, User):
        return Identity("authenticated", subject.claims, subject.token)
    return SERVICE


def actor_of(subject: Known) -> UUID | None:
    """Whom the audit log names; None is the admin key."""
    return subject.user_id if isinstance(subject, User) else None


async def require_api(
    services: Services, subject: Known, ref: str, operation: Operation
) -> AllowedApi:
    """The API of this id or slug, when the subject may do the operation on it."""
    identity = identity_of(subject)
    parsed = parse_ref(ref)
    row = await apis.find(services.database, identity, parsed) if parsed else None
    if row is None:
        raise ApiNotFoundError
    allowed = AllowedApi(row, identity)
    if not await _permitted(services, subject, allowed.tenant_id, operation):
        raise ApiNotFoundError
    note(api_id=allowed.id, tenant_id=allowed.tenant_id)
    return allowed


async def require_key(
    services: Services, subject: Known, key_id: UUID, operation: Operation
) -> Row:
    """The key, when the subject may do the operation on it."""
    row = await api_keys.find(services.database, identity_of(subject), key_id)
    if row is None or not await _permitted(
        services, subject, UUID(str(row["tenant_id"])), operation
    ):
        raise KeyNotFoundError
    note(key_id=key_id, tenant_id=row["tenant_id"])
    return row


async def require_tenant(
    services: Services, subject: Known, tenant_id: UUID | None, operation: Operation
) -> UUID:
    """The tenant to act for: the one named, or the user's own."""
    row = await _tenant_row(services, subject, tenant_id)
    if row is None:
        raise TenantNotFoundError
    found = UUID(str(row["id"]))
    if not await _permitted(services, subject, found, operation):
        raise TenantNotFoundError
    _refuse_suspended(subject, row)
    note(tenant_id=found)
    return found


async def require_running_tenant(services: Services, subject: Known, tenant_id: UUID) -> None:
    """Refuse what would start code or hand out keys for a suspended tenant."""
    row = await tenants.find(services.database, tenant_id, identity=identity_of(subject))
    if row is None:
        raise TenantNotFoundError
    _refuse_suspended(subject, row)


async def require_operation(
    services: Services, subject: Known, tenant_id: UUID, operation: Operation
) -> None:
    """Refuse who may not do it, whether or not the tenant is suspended."""
    row = await tenants.find(services.database, tenant_id, identity=identity_of(subject))
    if row is None or not await _permitted(services, subject, tenant_id, operation):
        raise TenantNotFoundError


def require_running_api(subject: Known, allowed: AllowedApi) -> None:
    """Refuse what would start code of an API that an administrator has stopped."""
    if allowed.row["status"] == "suspended" and not is_admin(subject):
        raise ApiSuspendedError


def parse_ref(ref: str) -> UUID | str | None:
    """An id, else a slug, else nothing that could exist."""
    try:
        return UUID(ref)
    except ValueError:
        return ref if _SLUG.fullmatch(ref) else None


async def _tenant_row(services: Services, subject: Known, tenant_id: UUID | None) -> Row | None:
    identity = identity_of(subject)
    if tenant_id is not None:
        return await tenants.find(services.database, tenant_id, identity=identity)
    if isinstance(subject, Admin):
        raise TenantRequiredError
    return await tenants.personal(services.database, subject.user_id, identity=identity)


async def _permitted(
    services: Services, subject: Known, tenant_id: UUID, operation: Operation
) -> bool:
    """False for a stranger; a member whose role is too small is told so."""
    if isinstance(subject, Admin) or subject.is_admin:
        return True
    identity = own_identity(subject)
    role = await tenants.role(services.database, tenant_id, subject.user_id, identity=identity)
    if role is None:
        return False
    if not permitted(Role(role), operation):
        raise ForbiddenError(f"The role {role} does not allow {operation}")
    return True


def _refuse_suspended(subject: Known, tenant: Row) -> None:
    if tenant["status"] == "suspended" and not is_admin(subject):
        raise TenantSuspendedError(tenant["suspended_reason"] or "")
