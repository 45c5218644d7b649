"""Routes of APIs and their logs."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response

from gateway.control.disconnect import while_connected
from gateway.control.models import (
    ApiView,
    CreateApiBody,
    CreatedApiView,
    Page,
    PageLimit,
    PageOffset,
    PatchApiBody,
    api_fields,
)
from gateway.control.services import Ops
from gateway.control.subject import Signed
from gateway.operations import api_changes, apis, logs, sandboxes, templates
from gateway.operations.sandboxes import ApiSandbox
from sandbox.types import LogLine

router = APIRouter(prefix="/api/apis", tags=["apis"])


@router.post("", status_code=201)
async def create_api(
    body: CreateApiBody, request: Request, response: Response, services: Ops, subject: Signed
) -> CreatedApiView:
    """Start the code in a sandbox and answer once it is live; its first key is shown this once."""
    new = apis.NewApi(
        name=body.name,
        code=body.code or "",
        description=body.description,
        tenant_id=body.tenant_id,
        limits=body.limits.named(),
        resources=body.resources.named(),
        egress=body.egress.model_dump(),
        tier=body.tier,
        instances=body.instances.named(),
        call_settings=body.call_settings.named(),
        price_nano_usd=body.price_nano_usd,
    )
    if body.template is not None:
        said = body.model_fields_set
        new = templates.made_from(
            new,
            body.template,
            own_egress="egress" in said,
            own_description="description" in said,
        )
    made = await while_connected(request, apis.create_api(services, subject, new))
    response.headers["Location"] = f"/api/apis/{made.api.id}"
    return CreatedApiView.model_validate(
        {
            **api_fields(made.api, str(request.base_url)),
            "packages": list(made.packages),
            "api_key": made.api_key,
            "key_id": made.key_id,
            "key_display": made.key_display,
        }
    )


@router.get("")
async def list_apis(
    request: Request,
    services: Ops,
    subject: Signed,
    tenant_id: UUID | None = None,
    limit: PageLimit = 50,
    offset: PageOffset = 0,
) -> Page[ApiView]:
    """Your own APIs, newest first."""
    found = await apis.list_apis(services, subject, tenant_id, limit, offset)
    views = [ApiView.model_validate(api_fields(api, str(request.base_url))) for api in found]
    return Page(items=views, limit=limit, offset=offset)


@router.get("/{api_id}")
async def read_api(api_id: str, request: Request, services: Ops, subject: Signed) -> ApiView:
    """One API by id or slug."""
    api = await apis.read_api(services, subject, api_id)
    return ApiView.model_validate(api_fields(api, str(request.base_url)))


@router.patch("/{api_id}")
async def change_api(
    api_id: str, body: PatchApiBody, request: Request, services: Ops, subject: Signed
) -> ApiView:
    """Rename, describe, pause, resume, limit, resize or connect; the next call already sees it."""
    change = api_changes.ApiChange(
        name=body.name,
        description=body.description,
        status=body.status,
        limits=None if body.limits is None else body.limits.named(),
        resources=None if body.resources is None else body.resources.named(),
        egress=None if body.egress is None else body.egress.model_dump(),
        instances=None if body.instances is None else body.instances.named(),
        call_settings=None if body.call_settings is None else body.call_settings.named(),
        price_nano_usd=body.price_nano_usd,
        tier=body.tier,
        sets_tier="tier" in body.model_fields_set,
    )
    api = await while_connected(request, api_changes.change_api(services, subject, api_id, change))
    return ApiView.model_validate(api_fields(api, str(request.base_url)))


@router.delete("/{api_id}", status_code=204)
async def delete_api(api_id: str, services: Ops, subject: Signed) -> None:
    """Remove the API for good; its keys open it no longer."""
    await apis.delete_api(services, subject, api_id)


@router.get("/{api_id}/sandboxes")
async def list_sandboxes(api_id: str, services: Ops, subject: Signed) -> Page[ApiSandbox]:
    """The sandboxes that serve the API now, and the last that ended with the reason."""
    found = await sandboxes.list_sandboxes(services, subject, api_id)
    return Page(items=found, limit=sandboxes.MOST, offset=0)


@router.get("/{api_id}/logs")
async def read_logs(
    api_id: str,
    services: Ops,
    subject: Signed,
    tail: Annotated[int, Query(ge=1, le=1000)] = 200,
) -> Page[LogLine]:
    """The last lines that the API wrote, oldest first."""
    lines = await logs.read_logs(services, subject, api_id, tail)
    return Page(items=lines, limit=tail, offset=0)
