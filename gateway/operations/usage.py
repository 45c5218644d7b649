"""What was called, and how much of each limit is left."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from gateway.auth.permissions import Operation
from gateway.limits.types import Limit, LimitState, Window
from gateway.operations import access
from gateway.operations.access import Known
from gateway.operations.ports import Services
from gateway.operations.tenants import own_tenants
from gateway.operations.values import LimitsJson, Tenant
from gateway.store import tenants, usage


@dataclass(frozen=True, slots=True)
class Analytics:
    """Sums over the recorded calls of one API. `sums` is the SQL function's JSON."""

    api_id: str
    days: int
    since: str
    sums: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class WindowUsage:
    """One window of a tenant; `limit` None is unlimited, and then nothing is counted."""

    window: str
    limit: int | None
    used: int
    remaining: int | None
    reset_seconds: int


@dataclass(frozen=True, slots=True)
class TenantUsage:
    """A tenant's plan and what is left of it."""

    tenant_id: str
    name: str
    plan: str
    status: str
    limits: LimitsJson
    windows: tuple[WindowUsage, ...]


async def api_analytics(services: Services, subject: Known, ref: str, days: int) -> Analytics:
    """Calls of the last `days` days."""
    allowed = await access.require_api(services, subject, ref, Operation.READ_USAGE)
    since = datetime.fromtimestamp(services.clock(), UTC) - timedelta(days=days)
    sums = await usage.analytics(services.database, allowed.identity, allowed.id, since)
    return Analytics(str(allowed.id), days, since.isoformat(), sums)


async def limit_usage(services: Services, subject: Known) -> list[TenantUsage]:
    """Each of the user's tenants with its limits and what was used of them."""
    identity = access.own_identity(subject)
    plans = await tenants.plan_limits(services.database, identity=identity)
    return [
        await _of_tenant(services, tenant, plans.get(tenant.plan, {}))
        for tenant in await own_tenants(services, subject)
    ]


async def tenant_usage(services: Services, subject: Known, tenant: Tenant) -> TenantUsage:
    """One tenant that the subject has been allowed to read."""
    identity = access.own_identity(subject)
    plans = await tenants.plan_limits(services.database, identity=identity)
    return await _of_tenant(services, tenant, plans.get(tenant.plan, {}))


async def _of_tenant(
    services: Services, tenant: Tenant, plan: Mapping[str, int | None]
) -> TenantUsage:
    effective = {**plan, **tenant.limits}
    limits = [
        Limit(f"tenant:{tenant.id}", window, quantity)
        for window in Window
        if (quantity := effective.get(window)) is not None
    ]
    states = await services.usage.usage_of(limits)
    by_window = {state.limit.window: state for state in states}
    return TenantUsage(
        tenant_id=tenant.id,
        name=tenant.name,
        plan=tenant.plan,
        status=tenant.status,
        limits=effective,
        windows=tuple(_window(window, by_window.get(window)) for window in Window),
    )


def _window(window: Window, state: LimitState | None) -> WindowUsage:
    if state is None:
        return WindowUsage(str(window), None, 0, None, 0)
    quantity = state.limit.quantity
    return WindowUsage(
        str(window), quantity, max(0, quantity - state.remaining), state.remaining, state.reset
    )
