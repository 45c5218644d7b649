"""Where a job goes on, from what was stored of it."""

from typing import Any

from generator.resume import checkpoint_of
from generator.types import Checkpoint, Event, EventKind
from tests.support.gate_contracts import contract

CONTRACT = Event(
    EventKind.CONTRACT, "", {"contract": contract().model_dump(mode="json", by_alias=True)}
)


def written(body: Any, number: Any) -> Event:
    return Event(EventKind.WRITTEN, "", {"body": body, "round": number})


def gate(name: str, passed: bool = True) -> Event:
    return Event(EventKind.GATE, "", {"gate": name, "passed": passed})


def test_nothing_stored_is_nothing_done() -> None:
    assert checkpoint_of([Event(EventKind.STARTED, "")]) == Checkpoint()


def test_a_contract_is_made_once() -> None:
    assert checkpoint_of([CONTRACT]) == Checkpoint(contract())


def test_a_contract_that_cannot_be_read_was_never_made() -> None:
    broken = Event(EventKind.CONTRACT, "", {"contract": {"title": 1}})
    assert checkpoint_of([broken, written("a", 0)]) == Checkpoint()


def test_a_contract_that_was_changed_begins_anew() -> None:
    assert checkpoint_of([CONTRACT, written("a", 0), CONTRACT]) == Checkpoint(contract())


def test_the_last_body_counts() -> None:
    events = [CONTRACT, written("a", 0), gate("static"), gate("sandbox", False), written("b", 1)]
    assert checkpoint_of(events) == Checkpoint(contract(), "b", 1, guards="a")


def test_guards_are_those_of_a_body_that_was_started() -> None:
    events = [CONTRACT, written("a", 0), gate("sandbox", False), written("b", 1), gate("static")]
    point = checkpoint_of([*events, written("c", 2)])
    assert (point.body, point.guards) == ("c", "a")


def test_guards_are_not_those_of_a_body_that_dropped_some() -> None:
    events = [CONTRACT, written("a", 0), gate("sandbox", False), written("b", 1)]
    dropped = [gate("sandbox"), gate("invariants", False)]
    point = checkpoint_of([*events, *dropped, written("c", 2)])
    assert point.guards == "a"


def test_a_body_told_again_is_no_repair_of_itself() -> None:
    events = [CONTRACT, written("a", 0), gate("sandbox", False), written("b", 1), gate("sandbox")]
    point = checkpoint_of([*events, written("b", 1)])
    assert (point.body, point.round, point.guards) == ("b", 1, "a")


def test_what_is_no_body_changes_nothing() -> None:
    assert checkpoint_of([CONTRACT, written(1, 0), written("a", "0")]) == Checkpoint(contract())
