"""Routes of usage."""

from typing import Annotated

from fastapi import APIRouter, Query

from gateway.control.models import AnalyticsView, Page
from gateway.control.services import Ops
from gateway.control.subject import Signed
from gateway.operations import usage
from gateway.operations.usage import TenantUsage

router = APIRouter(prefix="/api", tags=["usage"])


@router.get("/api-analytics/{api_id}")
async def api_analytics(
    api_id: str,
    services: Ops,
    subject: Signed,
    days: Annotated[int, Query(ge=1, le=3660)] = 7,
) -> AnalyticsView:
    """Calls, errors, times and bytes of one API, by day, version, key and path."""
    found = await usage.api_analytics(services, subject, api_id, days)
    return AnalyticsView.model_validate(
        {**found.sums, "api_id": found.api_id, "days": found.days, "since": found.since}
    )


@router.get("/rate-limit/usage")
async def limit_usage(services: Ops, subject: Signed) -> Page[TenantUsage]:
    """Your tenants with their limits and what is left of them."""
    found = await usage.limit_usage(services, subject)
    return Page(items=found, limit=max(1, len(found)), offset=0)
