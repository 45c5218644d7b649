"""Who may do what: one table of roles and operations. Pure."""

from enum import StrEnum

from gateway.auth.subject import Admin, Anonymous, Subject, User
from gateway.errors import ForbiddenError, UnauthorizedError


class Role(StrEnum):
    """A member's standing in a tenant; every role may do what those below it may."""

    OWNER = "owner"  # everything, and the only one who may hand the tenant over or remove it
    ADMIN = "admin"  # members and everything of the tenant's APIs
    DEVELOPER = "developer"  # builds, deploys and operates APIs
    VIEWER = "viewer"  # looks


class Operation(StrEnum):
    """What somebody wants to do with something of a tenant."""

    READ = "read"  # APIs, versions, code, deployments, key names
    READ_LOGS = "read_logs"
    READ_USAGE = "read_usage"
    CREATE_API = "create_api"
    CHANGE_API = "change_api"  # name, status, limits, resources, egress, tier, instances
    READ_SECRETS = "read_secrets"  # their names; the values are read by nobody
    CHANGE_SECRETS = "change_secrets"
    DEPLOY = "deploy"  # versions, deployments, rollback, reload
    DELETE_API = "delete_api"
    MANAGE_KEYS = "manage_keys"
    MANAGE_MEMBERS = "manage_members"
    CHANGE_TENANT = "change_tenant"  # its name
    DELETE_TENANT = "delete_tenant"  # or hand it over


_VIEWER = frozenset({Operation.READ, Operation.READ_USAGE})
_DEVELOPER = _VIEWER | {
    Operation.READ_LOGS,
    Operation.CREATE_API,
    Operation.CHANGE_API,
    Operation.READ_SECRETS,
    Operation.CHANGE_SECRETS,
    Operation.DEPLOY,
    Operation.MANAGE_KEYS,
}
_ADMIN = _DEVELOPER | {
    Operation.DELETE_API,
    Operation.MANAGE_MEMBERS,
    Operation.CHANGE_TENANT,
}
_OWNER = _ADMIN | {Operation.DELETE_TENANT}

ALLOWED: dict[Role, frozenset[Operation]] = {
    Role.OWNER: frozenset(_OWNER),
    Role.ADMIN: frozenset(_ADMIN),
    Role.DEVELOPER: frozenset(_DEVELOPER),
    Role.VIEWER: _VIEWER,
}


def permitted(role: Role | None, operation: Operation) -> bool:
    """Whether a role allows an operation; no role allows nothing."""
    return role is not None and operation in ALLOWED[role]


def require_admin(subject: Subject) -> None:
    """Raise unless the subject administers the installation."""
    if isinstance(subject, Anonymous):
        raise UnauthorizedError
    if not is_admin(subject):
        raise ForbiddenError("Only admins may do this")


def is_admin(subject: Subject) -> bool:
    """Whether the subject administers the installation."""
    return isinstance(subject, Admin) or (isinstance(subject, User) and subject.is_admin)
