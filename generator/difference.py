"""What a changed contract means for callers of the one before. Pure.

patch: nothing that a caller sees; minor: more than before; major: something that worked may no
longer work, and then `breaking` says what, a sentence each.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from generator import schemas
from generator.contract import Contract, Json, Location, Operation, Parameter, Storage
from generator.narrowing import lost, narrowed
from generator.texts import cleaned

Level = Literal["patch", "minor", "major"]
_LONGEST, _MOST = 300, 100


@dataclass(frozen=True, slots=True)
class Change:
    """All that is different; `breaking` is the part that callers would miss."""

    changes: tuple[str, ...] = ()
    breaking: tuple[str, ...] = ()
    level: Level = "patch"


@dataclass(frozen=True, slots=True)
class _Step:
    text: str
    level: Level


def difference(old: Contract, new: Contract) -> Change:
    """From the old contract to the new one."""
    steps = list(_steps(old, new))
    texts = [_Step(cleaned(step.text, _LONGEST), step.level) for step in steps]
    breaking = tuple(dict.fromkeys(one.text for one in texts if one.level == "major"))
    level: Level = "patch"
    if breaking:
        level = "major"
    elif any(one.level == "minor" for one in texts):
        level = "minor"
    changes = tuple(dict.fromkeys(one.text for one in texts))
    return Change(changes[:_MOST], breaking[:_MOST], level)


def _steps(old: Contract, new: Contract) -> Iterator[_Step]:
    before, after = _places(old), _places(new)
    for place, operation in before.items():
        if place not in after:
            yield _Step(f"{_name(operation)} is gone.", "major")
        else:
            yield from _operation(operation, after[place])
    for place, operation in after.items():
        if place not in before:
            yield _Step(f"{_name(operation)} is new.", "minor")
    if old.storage is Storage.KV and new.storage is Storage.NONE:
        yield _Step("What was stored is no longer there.", "major")
    elif old.storage != new.storage:
        yield _Step("It remembers values now.", "minor")
    for field in ("title", "summary", "outbound_hosts", "dependencies", "assumptions"):
        if getattr(old, field) != getattr(new, field):
            yield _Step(f"The {field.replace('_', ' ')} changed.", "patch")


def _places(contract: Contract) -> dict[tuple[str, str], Operation]:
    return {(one.method, re.sub(r"\{[^}]*\}", "{}", one.path)): one for one in contract.operations}


def _name(operation: Operation) -> str:
    return f"{operation.method} {operation.path}"


def _operation(old: Operation, new: Operation) -> Iterator[_Step]:
    yield from _parameters(old, new)
    yield from _body(old, new)
    yield from _answer(old, new)
    yield from _errors(old, new)
    for field in ("id", "summary", "examples"):
        if getattr(old, field) != getattr(new, field):
            yield _Step(f"{_name(old)}: the {field} changed.", "patch")


def _declared(operation: Operation) -> dict[tuple[str, str], Parameter]:
    """Parameters by how callers give them: those of a path by their position."""
    in_path = re.findall(r"\{([^}]*)\}", operation.path)
    found = {}
    for one in operation.parameters:
        name = one.name
        if one.location is Location.PATH:
            name = str(in_path.index(name)) if name in in_path else name
        elif one.location is Location.HEADER:
            name = name.lower()
        found[(str(one.location), name)] = one
    return found


def _parameters(old: Operation, new: Operation) -> Iterator[_Step]:
    before, after = _declared(old), _declared(new)
    for place in sorted(before.keys() | after.keys()):
        one, other = before.get(place), after.get(place)
        shown = (one or after[place]).name
        name = f"{_name(old)}: the {place[0]} parameter {shown}"
        if one is None and other is not None:
            yield _Step(f"{name} is new.", "minor")
            if other.required:
                yield _Step(f"{name} must be given.", "major")
        elif other is None:
            yield _Step(f"{name} is gone.", "major")
        elif one is not None:
            yield from _parameter(name, one, other)


def _parameter(name: str, old: Parameter, new: Parameter) -> Iterator[_Step]:
    if new.required and not old.required:
        yield _Step(f"{name} must be given.", "major")
    elif old.required and not new.required:
        yield _Step(f"{name} may be left out.", "minor")
    yield from _asked(name, old.schema_, new.schema_)


def _asked(name: str, old: Json, new: Json) -> Iterator[_Step]:
    """Of what callers send: less is taken, or more."""
    before, after = schemas.inlined(old), schemas.inlined(new)
    reasons = list(narrowed(before, after, extra=False))
    for member in lost(before, after):
        yield _Step(f"{name}: {member} is no longer read.", "major")
    for reason in reasons:
        yield _Step(f"{name}: {reason}.", "major")
    if any(narrowed(after, before, extra=False)) or any(lost(after, before)):
        yield _Step(f"{name} takes more than before.", "minor")
    elif before != after and not reasons:
        yield _Step(f"{name} is described in another way.", "patch")


def _body(old: Operation, new: Operation) -> Iterator[_Step]:
    name = f"{_name(old)}: the body"
    if old.body is None and new.body is None:
        return
    if new.body is None:
        yield _Step(f"{name} is no longer read.", "major")
    elif old.body is None:
        yield _Step(f"{name} must be given.", "major")
    else:
        if old.body_type != new.body_type:
            yield _Step(f"{name} is {new.body_type}, no longer {old.body_type}.", "major")
        yield from _asked(name, old.body, new.body)


def _answer(old: Operation, new: Operation) -> Iterator[_Step]:
    name = f"{_name(old)}: the answer"
    if old.status != new.status:
        yield _Step(f"{name} has the status {new.status}, no longer {old.status}.", "major")
    if old.response_type != new.response_type:
        yield _Step(f"{name} is {new.response_type}, no longer {old.response_type}.", "major")
    if old.response is None and new.response is not None:
        yield _Step(f"{name} has a schema now.", "minor")
    elif new.response is None and old.response is not None:
        yield _Step(f"{name} has no schema any more.", "major")
    elif old.response is not None:
        yield from _told(name, schemas.inlined(old.response), schemas.inlined(new.response or {}))


def _told(name: str, old: Json, new: Json) -> Iterator[_Step]:
    """Of what callers get: something is missing, or may be what it never was."""
    gone = list(lost(old, new))
    for member in gone:
        yield _Step(f"{name} no longer has {member}.", "major")
    wider = list(narrowed(new, old, extra=False))
    for reason in wider:
        yield _Step(f"{name} may be what it was not: before, {reason}.", "major")
    for member in lost(new, old):
        yield _Step(f"{name} also has {member}.", "minor")
    if old != new and not gone and not wider:
        yield _Step(f"{name} says more than before, or says it more exactly.", "minor")


def _errors(old: Operation, new: Operation) -> Iterator[_Step]:
    before, after = ({one.status for one in each.errors} for each in (old, new))
    for status in sorted(before - after):
        yield _Step(f"{_name(old)} no longer answers {status}.", "major")
    for status in sorted(after - before):
        yield _Step(f"{_name(old)} may answer {status}.", "minor")
    if before == after and old.errors != new.errors:
        yield _Step(f"{_name(old)}: its errors are described in another way.", "patch")
