"""Routes of keys."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Header

from gateway.control.key_models import (
    CreatedKeyView,
    CreateKeyBody,
    KeyView,
    PatchKeyBody,
    RotatedKeyView,
    RotateKeyBody,
)
from gateway.control.models import Page, PageLimit, PageOffset
from gateway.control.services import Ops
from gateway.control.subject import Signed
from gateway.operations import keys
from gateway.operations.values import Key

router = APIRouter(prefix="/api", tags=["keys"])

Once = Annotated[str | None, Header(alias="Idempotency-Key")]


@router.post("/apis/{api_id}/keys", status_code=201)
async def create_key(
    api_id: str, body: CreateKeyBody, services: Ops, subject: Signed, once: Once = None
) -> CreatedKeyView:
    """A key that opens this API; shown this once, also when the request is repeated."""
    new = keys.NewKey(
        body.name,
        body.expires_at,
        body.limits.named(),
        body.scopes.named(),
        body.allowed_addresses,
        once,
    )
    made = await keys.create_key(services, subject, api_id, new)
    return CreatedKeyView.model_validate(created_fields(made))


@router.get("/apis/{api_id}/keys")
async def list_keys(
    api_id: str, services: Ops, subject: Signed, limit: PageLimit = 50, offset: PageOffset = 0
) -> Page[KeyView]:
    """Keys that open this API, newest first, without their secrets."""
    found = await keys.list_keys(services, subject, api_id, limit, offset)
    views = [KeyView.model_validate(_fields(key)) for key in found]
    return Page(items=views, limit=limit, offset=offset)


@router.patch("/keys/{key_id}")
async def change_key(key_id: UUID, body: PatchKeyBody, services: Ops, subject: Signed) -> KeyView:
    """Change name, limits, scopes, addresses or expiry; calls follow at once."""
    changed = await keys.change_key(services, subject, key_id, body.named())
    return KeyView.model_validate(_fields(changed))


@router.post("/keys/{key_id}/rotate", status_code=201)
async def rotate_key(
    key_id: UUID, services: Ops, subject: Signed, body: RotateKeyBody | None = None
) -> RotatedKeyView:
    """A successor, shown this once; the old key goes on for a while and says until when."""
    seconds = body.overlap_seconds if body else None
    rotated = await keys.rotate_key(services, subject, key_id, seconds)
    return RotatedKeyView.model_validate(
        {
            **created_fields(rotated.created),
            "replaces": rotated.old.id,
            "replaces_until": rotated.old.ends_at,
        }
    )


@router.delete("/keys/{key_id}", status_code=204)
async def revoke_key(key_id: UUID, services: Ops, subject: Signed) -> None:
    """The key opens nothing any more once this is answered."""
    await keys.revoke_key(services, subject, key_id)


def created_fields(made: keys.CreatedKey) -> dict[str, object]:
    """Members of `CreatedKeyView`."""
    return {**_fields(made.key), "key": made.secret, "api_ids": made.api_ids}


def _fields(key: Key) -> dict[str, object]:
    return {name: getattr(key, name) for name in key.__slots__}
