"""Routes of the kill switches, for administrators."""

from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import BaseModel, StrictBool, StringConstraints

from gateway.control.administration_models import Reason
from gateway.control.models import Body
from gateway.control.services import Ops
from gateway.control.subject import Administrator
from gateway.operations import switches
from gateway.operations.switches import Switch
from gateway.store.switches import Stop

router = APIRouter(prefix="/api/admin/switches", tags=["admin"])


class StopView(BaseModel):
    """Something that is stopped; `api_id` when it is stopped for one API."""

    switch: Switch
    api_id: str | None
    reason: str
    since: str
    by: str


class StopsView(BaseModel):
    """All that is stopped now."""

    items: list[StopView]


class SwitchBody(Body):
    """Stop or go on, and why. `api` needs an API, `egress` may have one."""

    stopped: StrictBool
    reason: Reason
    api_id: Annotated[str, StringConstraints(max_length=100)] | None = None


@router.get("")
async def read_switches(services: Ops, subject: Administrator) -> StopsView:
    """What is stopped now, by whom and why."""
    return _view(await switches.stops(services, subject))


@router.put("/{switch}")
async def set_switch(
    switch: Annotated[Switch, Path()], body: SwitchBody, services: Ops, subject: Administrator
) -> StopsView:
    """Stop it or let it go on; open connections of a stopped egress are closed at once."""
    found = await switches.change(services, subject, switch, body.api_id, body.stopped, body.reason)
    return _view(found)


def _view(found: list[Stop]) -> StopsView:
    return StopsView(items=[_item(stop) for stop in sorted(found, key=lambda stop: stop.name)])


def _item(stop: Stop) -> StopView:
    kind, _, api_id = stop.name.partition(":")
    return StopView(
        switch=Switch(kind),
        api_id=api_id or None,
        reason=stop.reason,
        since=stop.since,
        by=stop.by,
    )
