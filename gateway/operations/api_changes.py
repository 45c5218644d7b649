"""What may change about an API, and what each change does to its sandboxes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from gateway.auth.permissions import Operation, is_admin
from gateway.operations import access, inputs
from gateway.operations.access import AllowedApi, Known
from gateway.operations.apis import with_versions
from gateway.operations.call_settings import checked_call_settings, checked_price
from gateway.operations.egress import checked_egress
from gateway.operations.finish import finish
from gateway.operations.ports import Services
from gateway.operations.rehearse import stop_all
from gateway.operations.restart import (
    current,
    merged,
    next_specs,
    rehearse_all,
    tell_egress,
    withdraw_all,
    withdraw_unused,
)
from gateway.operations.tiers import require_tier
from gateway.operations.values import Api
from gateway.store import apis
from gateway.store.database import Row
from gateway.store.routes import floor_of

# what sandboxes are told or made of: two such changes at once would be told in any order
_IN_TURN = frozenset({"tier", "resources", "egress"})


@dataclass(frozen=True, slots=True)
class ApiChange:
    """Input of `change_api`; None leaves a thing as it is, a mapping replaces the whole.

    `tier` is what shall be kept from now on when `sets_tier`, also None.
    """

    name: str | None = None
    description: str | None = None
    status: str | None = None  # active or paused
    limits: Mapping[str, Any] | None = None
    resources: Mapping[str, float] | None = None
    egress: Mapping[str, Any] | None = None
    instances: Mapping[str, int] | None = None
    call_settings: Mapping[str, Any] | None = None
    price_nano_usd: int | None = None
    tier: str | None = None
    sets_tier: bool = False


async def change_api(services: Services, subject: Known, ref: str, change: ApiChange) -> Api:
    """Change what is named; the next call already sees it. A paused API holds no sandbox."""
    values = _checked_change(change)
    allowed = await access.require_api(services, subject, ref, Operation.CHANGE_API)
    suspended = allowed.row["status"] == "suspended" and "status" in values
    if suspended and not is_admin(subject):
        raise access.ApiSuspendedError
    if change.tier is not None:
        await require_tier(services.sandboxes, floor_of(values["tier"]))
    if values:
        await finish(_change(services, subject, allowed, values))
    row = await apis.find(services.database, allowed.identity, allowed.id)
    if row is None:
        raise access.ApiNotFoundError
    return (await with_versions(services, allowed.identity, [row]))[0]


async def _change(
    services: Services, subject: Known, allowed: AllowedApi, values: Mapping[str, Any]
) -> None:
    """What is stored is also told to the sandboxes, whether or not somebody still waits for it."""
    if _IN_TURN & values.keys():
        async with services.turns.of(str(allowed.id)):
            await _switch(services, subject, allowed, values)
            if "egress" in values:
                await tell_egress(services, allowed.id)
    else:
        await _apply(services, subject, allowed.id, values)
    if values.get("status") == "paused":
        await stop_all(services.sandboxes, str(allowed.id))


async def _switch(
    services: Services, subject: Known, allowed: AllowedApi, values: Mapping[str, Any]
) -> None:
    """Where other sandboxes are needed they are up before the change is stored, or none is."""
    api = await current(services, allowed.id)
    wanted = merged(api, values)
    is_other = any(wanted[name] != api[name] for name in ("tier", "resources"))
    specs = await next_specs(services, wanted) if is_other else []
    try:
        await rehearse_all(services, specs)
        row = await _apply(services, subject, allowed.id, values)
    except BaseException:
        await withdraw_unused(services, api, specs)
        raise
    if row["generation"] != api["generation"] + is_other:  # another process was faster
        await withdraw_all(services, specs)


async def _apply(
    services: Services, subject: Known, api_id: UUID, values: Mapping[str, Any]
) -> Row:
    row = await apis.change(services.database, api_id, values, access.actor_of(subject))
    services.changes.publish("api", str(api_id))
    return row


_CHECKS: Mapping[str, Callable[[Any], object]] = {
    "name": inputs.checked_name,
    "description": inputs.checked_description,
    "status": inputs.checked_status,
    "limits": inputs.checked_limits,
    "resources": inputs.checked_resources,
    "egress": checked_egress,
    "instances": inputs.checked_instances,
    "call_settings": checked_call_settings,
    "price_nano_usd": checked_price,
}


def _checked_change(change: ApiChange) -> dict[str, Any]:
    """What is stored of it, each thing checked. `Any`: JSON."""
    values: dict[str, Any] = {
        name: check(asked)
        for name, check in _CHECKS.items()
        if (asked := getattr(change, name)) is not None
    }
    if change.sets_tier:
        values["tier"] = inputs.checked_tier(change.tier)
    return values
