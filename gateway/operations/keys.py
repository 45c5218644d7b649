"""Keys of an API: make one, list them, change, rotate and revoke one."""

import asyncio
import hmac
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from gateway.auth import keys
from gateway.auth.permissions import Operation
from gateway.errors import ConflictError, InvalidInputError
from gateway.operations import access, inputs, key_inputs
from gateway.operations.access import AllowedApi, Known
from gateway.operations.finish import finish
from gateway.operations.ports import Services
from gateway.operations.values import Key, key_of, optional
from gateway.store import api_keys
from gateway.store.database import DatabaseError

_DEFAULT_NAME = "Key"
_ONCE_CHARACTERS = 200


class KeyExistsError(ConflictError):
    """This Idempotency-Key has made a key already; its text was shown then."""

    code, title = "key_exists", "This request has already made its key"

    def __init__(self, key_id: UUID) -> None:
        super().__init__(
            f"The key {key_id} was made; rotate it to get a new text.",
            extra={"key_id": str(key_id)},
        )


@dataclass(frozen=True, slots=True)
class NewKey:
    """Input of `create_key`. `expires_at` knows its time zone.

    `once` is the client's name of this request: however often it comes, it makes one key.
    """

    name: str | None = None
    expires_at: datetime | None = None
    limits: Mapping[str, Any] = field(default_factory=dict)
    scopes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    allowed_addresses: Sequence[str] = ()
    once: str | None = None


@dataclass(frozen=True, slots=True)
class CreatedKey:
    """A new key with its secret, shown this once."""

    key: Key
    secret: str
    api_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RotatedKey:
    """The successor with its secret, and the key that it replaces."""

    created: CreatedKey
    old: Key


async def create_key(services: Services, subject: Known, ref: str, new: NewKey) -> CreatedKey:
    """A key that opens this API and no other; the API's tenant owns it."""
    _checked(services, new)  # what is wrong with it is told before what may not be done
    allowed = await access.require_api(services, subject, ref, Operation.MANAGE_KEYS)
    await access.require_running_tenant(services, subject, allowed.tenant_id)
    key_id = uuid4() if new.once is None else _id_of(services, allowed, new.once)
    owner = (allowed.tenant_id, (str(allowed.id),))
    return await store_key(services, subject, key_id, owner, new)


async def store_key(
    services: Services,
    subject: Known,
    key_id: UUID,
    owner: tuple[UUID, tuple[str, ...]],
    new: NewKey,
) -> CreatedKey:
    """Store a key for whoever may have one; `owner` is its tenant and the APIs it opens."""
    tenant_id, api_ids = owner
    secret, values = _fresh(services, key_id)
    values |= _checked(services, new) | {
        "tenant_id": str(tenant_id),
        "created_by": optional(access.actor_of(subject)),
        "api_ids": list(api_ids),
    }
    try:
        await api_keys.create(services.database, values)
    except DatabaseError as error:
        if error.code == KeyExistsError.code:
            raise KeyExistsError(key_id) from error
        raise
    row = await access.require_key(services, subject, key_id, Operation.MANAGE_KEYS)
    return CreatedKey(key_of(row), secret, api_ids)


async def list_keys(
    services: Services, subject: Known, ref: str, limit: int, offset: int
) -> list[Key]:
    """Keys that open this API, newest first, revoked ones included."""
    allowed = await access.require_api(services, subject, ref, Operation.READ)
    rows = await api_keys.page(services.database, allowed.identity, allowed.id, limit, offset)
    return [key_of(row) for row in rows]


async def change_key(
    services: Services, subject: Known, key_id: UUID, asked: Mapping[str, Any]
) -> Key:
    """Change what is named; every gateway follows at once. `Any`: each value is checked here."""
    checks: dict[str, Callable[[Any], object]] = {
        "name": inputs.checked_name,
        "limits": inputs.checked_limits,
        "scopes": key_inputs.checked_scopes,
        "allowed_addresses": key_inputs.checked_addresses,
        "expires_at": lambda moment: key_inputs.checked_expiry(moment, services.clock()),
    }
    values = {name: checks[name](value) for name, value in asked.items()}
    await access.require_key(services, subject, key_id, Operation.MANAGE_KEYS)

    async def change() -> None:
        await api_keys.update(services.database, key_id, values, access.actor_of(subject))
        services.changes.publish("key", str(key_id))

    await finish(change())
    return key_of(await access.require_key(services, subject, key_id, Operation.MANAGE_KEYS))


async def rotate_key(
    services: Services, subject: Known, key_id: UUID, overlap_seconds: int | None
) -> RotatedKey:
    """A successor that is the same in everything but its text; the old key gets an end."""
    seconds = key_inputs.checked_overlap(overlap_seconds)
    row = await access.require_key(services, subject, key_id, Operation.MANAGE_KEYS)
    await access.require_running_tenant(services, subject, UUID(str(row["tenant_id"])))
    secret, values = _fresh(services, uuid4())
    values |= {
        "key_id": str(key_id),
        "overlap_seconds": seconds,
        "actor": optional(access.actor_of(subject)),
    }

    async def rotate() -> tuple[str, ...]:
        made = await api_keys.rotate(services.database, values)
        services.changes.publish("key", str(key_id))
        services.changes.publish("key", values["id"])
        return tuple(made["api_ids"])

    api_ids = await finish(rotate())
    new, old = await asyncio.gather(
        *(
            access.require_key(services, subject, each, Operation.MANAGE_KEYS)
            for each in (UUID(values["id"]), key_id)
        )
    )
    return RotatedKey(CreatedKey(key_of(new), secret, api_ids), key_of(old))


async def revoke_key(services: Services, subject: Known, key_id: UUID) -> None:
    """The key opens nothing any more once this returns; doing it twice is no mistake."""
    row = await access.require_key(services, subject, key_id, Operation.MANAGE_KEYS)
    if row["revoked_at"] is None:
        await finish(_revoke(services, subject, key_id))


async def _revoke(services: Services, subject: Known, key_id: UUID) -> None:
    await api_keys.revoke(services.database, key_id, access.actor_of(subject))
    services.changes.publish("key", str(key_id))


def _checked(services: Services, new: NewKey) -> dict[str, Any]:
    """What is stored of it. `Any`: JSON."""
    return {
        "name": _DEFAULT_NAME if new.name is None else inputs.checked_name(new.name),
        "limits": inputs.checked_limits(new.limits),
        "scopes": key_inputs.checked_scopes(new.scopes),
        "allowed_addresses": key_inputs.checked_addresses(new.allowed_addresses),
        "expires_at": key_inputs.checked_expiry(new.expires_at, services.clock()),
    }


def _fresh(services: Services, key_id: UUID) -> tuple[str, dict[str, Any]]:
    """The text of a new key, and what is stored of it. `Any`: more values join them."""
    secret = keys.generate_key()
    return secret, {
        "id": str(key_id),
        "key_hash": services.hash_secrets().current.hash(secret),
        "display": keys.display_form(secret),
    }


def _id_of(services: Services, allowed: AllowedApi, once: str) -> UUID:
    """The same id for the same request, which nobody else can foresee."""
    if not 1 <= len(once) <= _ONCE_CHARACTERS or not once.isprintable():
        raise InvalidInputError(f"Idempotency-Key has 1 to {_ONCE_CHARACTERS} characters")
    text = f"idempotent key\n{allowed.tenant_id}\n{allowed.id}\n{once}"
    digest = hmac.digest(services.hash_secrets().current.value, text.encode(), "sha256")
    return UUID(bytes=digest[:16], version=4)
