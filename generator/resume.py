"""How far a job had come, from the events that were stored of it."""

from collections.abc import Iterable
from dataclasses import replace

from pydantic import ValidationError

from generator.contract import Contract
from generator.types import Checkpoint, Event, EventKind, Gate


def checkpoint_of(events: Iterable[Event]) -> Checkpoint:
    """Where to go on. A contract that cannot be read was never made."""
    point, has_guards = Checkpoint(), False
    for event in events:
        if event.kind is EventKind.CONTRACT:
            point, has_guards = Checkpoint(_contract(event)), False
        elif event.kind is EventKind.WRITTEN and point.contract is not None:
            point, has_guards = _written(point, event, has_guards=has_guards), False
        elif event.kind is EventKind.GATE:
            has_guards = _shows_guards(event, has_guards=has_guards)
    return point


def _shows_guards(event: Event, *, has_guards: bool) -> bool:
    """Whether the next repair is compared with this body: it was started, and dropped none."""
    gate = event.data.get("gate")
    if gate == Gate.SANDBOX:
        return True
    return has_guards and not (gate == Gate.INVARIANTS and not event.data.get("passed"))


def _contract(event: Event) -> Contract | None:
    try:
        return Contract.model_validate(event.data.get("contract"))
    except ValidationError:
        return None


def _written(point: Checkpoint, event: Event, *, has_guards: bool) -> Checkpoint:
    """A repair keeps the guards of the last body that showed them and dropped none itself."""
    body, number = event.data.get("body"), event.data.get("round")
    if not isinstance(body, str) or not isinstance(number, int):
        return point
    if body == point.body:
        return replace(point, round=number)  # told again after a worker had died
    guards = point.body if has_guards else point.guards
    return replace(point, body=body, round=number, guards=guards)
