"""What language models cost whom, and the caps on it; for administrators."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from gateway.operations import access
from gateway.operations.access import Known
from gateway.operations.ports import Services
from gateway.store import model_costs

MOST_ROWS = 1000


@dataclass(frozen=True, slots=True)
class DayCost:
    """Of one tenant on one day (UTC); without a tenant when it is gone."""

    day: str
    tenant_id: str | None
    tenant: str | None
    calls: int
    jobs: int
    nano_usd: int


@dataclass(frozen=True, slots=True)
class TenantCaps:
    """One tenant's own; None is what holds for everybody."""

    tenant_id: str
    job_nano_usd: int | None
    user_day_nano_usd: int | None
    month_nano_usd: int | None


async def costs(
    services: Services, subject: Known, days: int, tenant_id: UUID | None
) -> list[DayCost]:
    """Newest day first, dearest tenant first."""
    access.require_admin(subject)
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    since = (today - timedelta(days=days - 1)).isoformat()
    rows = await model_costs.by_tenant_and_day(services.database, since, tenant_id, MOST_ROWS)
    return [DayCost(**{name: row[name] for name in DayCost.__slots__}) for row in rows]


async def set_caps(
    services: Services, subject: Known, tenant_id: UUID, caps: Mapping[str, int | None]
) -> TenantCaps:
    """Change those that are named; an entry in the audit log."""
    access.require_admin(subject)
    actor = access.actor_of(subject)
    row = await model_costs.set_caps(services.database, tenant_id, caps, actor)
    return TenantCaps(**{name: row[name] for name in TenantCaps.__slots__})
