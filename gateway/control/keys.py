"""Routes of keys."""

from uuid import UUID

from fastapi import APIRouter

from gateway.control.models import (
    CreatedKeyView,
    CreateKeyBody,
    KeyView,
    Page,
    PageLimit,
    PageOffset,
)
from gateway.control.services import Ops
from gateway.control.subject import Signed
from gateway.operations import keys
from gateway.operations.values import Key

router = APIRouter(prefix="/api", tags=["keys"])


@router.post("/apis/{api_id}/keys", status_code=201)
async def create_key(
    api_id: str, body: CreateKeyBody, services: Ops, subject: Signed
) -> CreatedKeyView:
    """A key that opens this API; shown this once."""
    new = keys.NewKey(body.name, body.expires_at, body.limits.named())
    made = await keys.create_key(services, subject, api_id, new)
    return CreatedKeyView.model_validate(
        {**_fields(made.key), "key": made.secret, "api_ids": made.api_ids}
    )


@router.get("/apis/{api_id}/keys")
async def list_keys(
    api_id: str, services: Ops, subject: Signed, limit: PageLimit = 50, offset: PageOffset = 0
) -> Page[KeyView]:
    """Keys that open this API, newest first, without their secrets."""
    found = await keys.list_keys(services, subject, api_id, limit, offset)
    views = [KeyView.model_validate(_fields(key)) for key in found]
    return Page(items=views, limit=limit, offset=offset)


@router.delete("/keys/{key_id}", status_code=204)
async def revoke_key(key_id: UUID, services: Ops, subject: Signed) -> None:
    """The key opens nothing any more once this is answered."""
    await keys.revoke_key(services, subject, key_id)


def _fields(key: Key) -> dict[str, object]:
    return {name: getattr(key, name) for name in key.__slots__}
