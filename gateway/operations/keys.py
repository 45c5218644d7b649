"""Keys of an API: make one, list them, revoke one."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from gateway.auth import keys
from gateway.auth.permissions import Operation
from gateway.errors import InvalidInputError
from gateway.operations import access, inputs
from gateway.operations.access import Known
from gateway.operations.finish import finish
from gateway.operations.ports import Services
from gateway.operations.values import Key, key_of, optional
from gateway.store import api_keys

_DEFAULT_NAME = "Key"


class InvalidExpiryError(InvalidInputError):
    """A key that would be dead at birth."""

    code, title = "invalid_expiry", "Invalid expiry"


@dataclass(frozen=True, slots=True)
class NewKey:
    """Input of `create_key`. `expires_at` knows its time zone."""

    name: str | None = None
    expires_at: datetime | None = None
    limits: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CreatedKey:
    """A new key with its secret, shown this once."""

    key: Key
    secret: str
    api_ids: tuple[str, ...]


async def create_key(services: Services, subject: Known, ref: str, new: NewKey) -> CreatedKey:
    """A key that opens this API and no other; the API's tenant owns it."""
    name = _DEFAULT_NAME if new.name is None else inputs.checked_name(new.name)
    limits = inputs.checked_limits(new.limits)
    expires_at = _checked_expiry(new.expires_at, services.clock())
    allowed = await access.require_api(services, subject, ref, Operation.MANAGE_KEYS)
    await access.require_running_tenant(services, subject, allowed.tenant_id)
    secret, key_id = keys.generate_key(), uuid4()
    values: dict[str, Any] = {
        "id": str(key_id),
        "tenant_id": str(allowed.tenant_id),
        "created_by": optional(access.actor_of(subject)),
        "name": name,
        "key_hash": keys.hash_key(secret, services.key_secret),
        "display": keys.display_form(secret),
        "api_ids": [str(allowed.id)],
        "limits": limits,
        "expires_at": expires_at,
    }
    await api_keys.create(services.database, values)
    row = await access.require_key(services, subject, key_id, Operation.MANAGE_KEYS)
    return CreatedKey(key_of(row), secret, (str(allowed.id),))


async def list_keys(
    services: Services, subject: Known, ref: str, limit: int, offset: int
) -> list[Key]:
    """Keys that open this API, newest first, revoked ones included."""
    allowed = await access.require_api(services, subject, ref, Operation.READ)
    rows = await api_keys.page(services.database, allowed.identity, allowed.id, limit, offset)
    return [key_of(row) for row in rows]


async def revoke_key(services: Services, subject: Known, key_id: UUID) -> None:
    """The key opens nothing any more once this returns; doing it twice is no mistake."""
    row = await access.require_key(services, subject, key_id, Operation.MANAGE_KEYS)
    if row["revoked_at"] is None:
        await finish(_revoke(services, subject, key_id))


async def _revoke(services: Services, subject: Known, key_id: UUID) -> None:
    await api_keys.revoke(services.database, key_id, access.actor_of(subject))
    services.changes.publish("key", str(key_id))


def _checked_expiry(expires_at: datetime | None, now: float) -> str | None:
    if expires_at is None:
        return None
    if expires_at.tzinfo is None:
        raise InvalidExpiryError("expires_at needs a time zone")
    if expires_at.timestamp() <= now:
        raise InvalidExpiryError("expires_at is in the past")
    return expires_at.astimezone(UTC).isoformat()
