"""Kill switches: an administrator stops a kind of thing, or one API, for everybody at once."""

import asyncio
from collections.abc import Iterable, Sequence
from enum import StrEnum
from uuid import UUID

import structlog

from gateway.errors import InvalidInputError, SandgateError, UnavailableError
from gateway.operations import access
from gateway.operations.access import ApiNotFoundError, Known, parse_ref
from gateway.operations.administration import checked_reason
from gateway.operations.finish import finish
from gateway.operations.ports import Services
from gateway.operations.rehearse import stop_all
from gateway.operations.restart import tell_egress
from gateway.store import apis, audit_context, switches
from gateway.store.database import SERVICE
from gateway.store.switches import EGRESS, Stop, Stops
from sandbox.types import SandboxError

NEWS = "switches"  # the kind of change under which gateways hear of them
_AT_ONCE = 8
_log = structlog.get_logger(__name__)


class Switch(StrEnum):
    """What can be stopped."""

    GENERATION = "generation"  # no language model is asked to write code
    PUBLISHING = "publishing"  # nothing new comes onto the marketplace
    EGRESS = "egress"  # of every API, or of one: nothing leaves its sandboxes
    API = "api"  # one API: suspended


class InvalidSwitchError(InvalidInputError):
    """Not everything can be stopped for one API, nor for all."""

    code, title = "invalid_switch", "Invalid switch"


class StoppedError(UnavailableError):
    """An administrator has stopped this kind of thing for now."""

    code, title = "stopped", "Stopped by an administrator"


async def stops(services: Services, subject: Known) -> list[Stop]:
    """All that is stopped now."""
    access.require_admin(subject)
    return list((await switches.stops(services.database)).values())


async def require(services: Services, switch: Switch) -> None:
    """StoppedError while it is stopped for all."""
    found = (await switches.stops(services.database)).get(switch)
    if found is not None:
        raise StoppedError(f"{switch.capitalize()} is stopped: {found.reason}", retry_after=60)


async def change(
    services: Services,
    subject: Known,
    switch: Switch,
    ref: str | None,
    stopped: bool,
    reason: str,
) -> list[Stop]:
    """Stop it or let it go on. On this machine it is so when this returns, elsewhere in seconds."""
    access.require_admin(subject)
    checked = checked_reason(reason)
    name, api_id = await _named(services, switch, ref)
    audit_context.tell(checked)
    actor = access.actor_of(subject)

    async def act() -> Stops:
        found = await switches.set_switch(services.database, name, stopped, checked, actor)
        services.changes.publish(NEWS, name)
        if switch is Switch.API and api_id is not None:
            services.changes.publish("api", str(api_id))
            await (stop_all(services.sandboxes, str(api_id)) if stopped else _nothing())
        elif switch is Switch.EGRESS:
            await retell(services, None if api_id is None else [str(api_id)])
        return found

    return list((await finish(act())).values())


async def hosts_in_force(services: Services, hosts: Sequence[str]) -> Sequence[str]:
    """Where an API that is not stored yet may connect to."""
    return () if EGRESS in await switches.stops(services.database) else hosts


async def retell(services: Services, only: Iterable[str] | None = None) -> bool:
    """Tell the manager what holds for each API that lives; whether it could be told.

    The door closes what is open and not allowed any more.
    """
    try:
        status = await services.sandboxes.status()
    except SandboxError:
        _log.warning("switch_not_told", exc_info=True)
        return False
    living = {box.spec.api_id for box in status.sandboxes if box.spec is not None}
    free = asyncio.Semaphore(_AT_ONCE)

    async def tell(api_id: str) -> None:
        async with free:
            await tell_egress(services, UUID(api_id))

    concerned = sorted(living if only is None else living & set(only))
    outcomes = await asyncio.gather(*map(tell, concerned), return_exceptions=True)
    for error in (outcome for outcome in outcomes if outcome is not None):
        if not isinstance(error, SandgateError):
            raise error
        _log.warning("switch_not_told", error=repr(error))
    return not any(outcomes)


async def _named(services: Services, switch: Switch, ref: str | None) -> tuple[str, UUID | None]:
    """Its name in the row, and the API that it is about."""
    if ref is None and switch is not Switch.API:
        return str(switch), None
    if ref is None or switch not in (Switch.API, Switch.EGRESS):
        raise InvalidSwitchError(
            "api needs api_id, egress may have one, the others are for all APIs"
        )
    parsed = parse_ref(ref)
    row = await apis.find(services.database, SERVICE, parsed) if parsed else None
    if row is None:
        raise ApiNotFoundError
    api_id = UUID(str(row["id"]))
    return f"{switch}:{api_id}", api_id


async def _nothing() -> None:
    """What goes on needs no help."""
