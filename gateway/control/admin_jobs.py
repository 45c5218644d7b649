"""Routes about jobs and their cost, for administrators."""

from typing import Annotated, ClassVar
from uuid import UUID

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, Field, StrictInt

from gateway.control.jobs import Status
from gateway.control.models import Page, PageLimit, PageOffset, Patch
from gateway.control.services import Ops
from gateway.control.subject import Administrator
from gateway.operations import costs, jobs
from gateway.operations.costs import DayCost, TenantCaps
from gateway.operations.jobs import JobFilter

router = APIRouter(prefix="/api/admin", tags=["admin"])
Amount = Annotated[StrictInt, Field(ge=0, le=10**15)]


class JobItem(BaseModel):
    """A job without what its people wrote."""

    id: str
    tenant_id: str
    created_by: str | None
    batch_id: str | None
    retry_of: str | None
    name: str
    template: str | None
    approve: str
    status: str
    waiting_for: str | None
    model: str | None
    failure: dict[str, str] | None
    cost_nano_usd: int
    cap_nano_usd: int | None
    api_id: str | None
    version: int | None
    attempts: int
    created_at: str
    updated_at: str
    started_at: str | None
    finished_at: str | None


class CostsView(BaseModel):
    """Sums by tenant and day."""

    items: list[DayCost]


class CapsBody(Patch):
    """In nano-USD: of one job, of one person in a day, of the tenant in a month.

    Null is what holds for everybody; what is left out stays.
    """

    may_be_null: ClassVar[frozenset[str]] = frozenset(
        {"job_nano_usd", "user_day_nano_usd", "month_nano_usd"}
    )

    job_nano_usd: Amount | None = None
    user_day_nano_usd: Amount | None = None
    month_nano_usd: Amount | None = None


@router.get("/jobs")
async def search_jobs(
    services: Ops,
    subject: Administrator,
    status: Status | None = None,
    tenant_id: UUID | None = None,
    limit: PageLimit = 50,
    offset: PageOffset = 0,
) -> Page[JobItem]:
    """Jobs of everybody, newest first."""
    wanted = JobFilter(status=status, tenant_id=tenant_id)
    found = await jobs.search_jobs(services, subject, wanted, limit, offset)
    items = [JobItem.model_validate(row) for row in found]
    return Page(items=items, limit=limit, offset=offset)


@router.get("/costs")
async def read_costs(
    services: Ops,
    subject: Administrator,
    days: Annotated[int, Query(ge=1, le=366)] = 30,
    tenant_id: UUID | None = None,
) -> CostsView:
    """What language models cost, by tenant and day."""
    return CostsView(items=await costs.costs(services, subject, days, tenant_id))


@router.patch("/tenants/{tenant_id}/caps")
async def set_caps(
    tenant_id: Annotated[UUID, Path()], body: CapsBody, services: Ops, subject: Administrator
) -> TenantCaps:
    """How much a tenant may spend; the next call of a model already counts by it."""
    caps = body.model_dump(exclude_unset=True)
    return await costs.set_caps(services, subject, tenant_id, caps)
