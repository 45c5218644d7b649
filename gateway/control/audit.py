"""Routes of the audit log, for administrators."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from fastapi.responses import StreamingResponse
from pydantic import AwareDatetime

from gateway.control.administration_models import AuditView, KeyPage
from gateway.control.models import PageLimit
from gateway.control.services import Ops
from gateway.control.subject import Administrator
from gateway.operations import audit
from gateway.operations.audit import AuditQuery

router = APIRouter(prefix="/api/admin", tags=["admin"])
Exact = Annotated[str | None, Query(max_length=320, pattern=r"^[^\x00]*$")]
Before = Annotated[int | None, Query(ge=1, le=2**63 - 1, description="`next` of the page before")]


def _query(
    actor_id: UUID | None = None,
    actor: Exact = None,
    action: Annotated[
        str | None,
        Query(max_length=100, pattern=r"^[a-z_.]*$", description="`tenant.` is all of tenants"),
    ] = None,
    target_type: Exact = None,
    target_id: Exact = None,
    request_id: Exact = None,
    since: AwareDatetime | None = None,
    until: AwareDatetime | None = None,
) -> AuditQuery:
    """The filters; what is left out is anything."""
    return AuditQuery(actor_id, actor, action, target_type, target_id, request_id, since, until)


Sought = Annotated[AuditQuery, Depends(_query)]


@router.get("/audit")
async def read_audit(
    services: Ops,
    subject: Administrator,
    query: Sought,
    limit: PageLimit = 50,
    before: Before = None,
) -> KeyPage[AuditView]:
    """Who did what, newest first."""
    found = await audit.entries(services, subject, query, limit, before)
    items = [AuditView.model_validate(entry, from_attributes=True) for entry in found]
    following = str(found[-1].id) if len(found) == limit else None
    return KeyPage(items=items, limit=limit, next=following)


@router.get("/audit.csv", response_class=StreamingResponse)
async def export_audit(services: Ops, subject: Administrator, query: Sought) -> StreamingResponse:
    """The same as CSV, all of it; cells that a spreadsheet would compute begin with `'`."""
    lines = await audit.export(services, subject, query)
    headers = {"Content-Disposition": 'attachment; filename="audit.csv"'}
    return StreamingResponse(lines, media_type="text/csv; charset=utf-8", headers=headers)
