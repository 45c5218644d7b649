"""Whether one schema takes less than another. Pure; in doubt it does.

`narrowed(old, new)` names reasons for which a value that holds to the old schema may not hold to
the new one. None are left out: where nothing is named, every such value holds to both.
"""

import json
from collections.abc import Iterator
from typing import Any

from generator.contract import Json, Schema
from generator.texts import quoted

_ALL = frozenset({"null", "boolean", "object", "array", "number", "string"})
_LOWER = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties", "minContains")
_UPPER = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties", "maxContains")
_EXACT = (
    "pattern", "multipleOf", "uniqueItems", "contains", "propertyNames", "not", "if", "then",
    "else", "allOf", "oneOf", "prefixItems", "dependentSchemas", "dependentRequired",
    "unevaluatedItems", "unevaluatedProperties",
)  # fmt: skip


def narrowed(old: Json, new: Json, place: str = "", *, extra: bool = True) -> Iterator[str]:
    """Reasons, as sentences without an end.

    Without `extra`, members that the old one does not name do not count.
    """
    if old == new or new is True or new == {} or old is False:
        return
    if not isinstance(old, dict) or not isinstance(new, dict):
        if not isinstance(new, dict) or old is not True:
            yield f"{_at(place)} takes nothing any more"
            return
        old = {}
    yield from _types(old, new, place)
    yield from _choices(old, new, place)
    yield from _bounds(old, new, place)
    yield from _members(old, new, place, extra)
    yield from _rest(old, new, place, extra)


def lost(old: Json, new: Json, place: str = "") -> Iterator[str]:
    """Members that the old schema names and the new one does not."""
    if not isinstance(old, dict) or not isinstance(new, dict):
        return
    now = new.get("properties", {})
    for name, schema in old.get("properties", {}).items():
        if name not in now:
            yield f"{place}/{name}"
        else:
            yield from lost(schema, now[name], f"{place}/{name}")
    yield from lost(old.get("items"), new.get("items"), f"{place}/items")


def _at(place: str) -> str:
    return place or "it"


def _kinds(schema: Schema) -> frozenset[str]:
    kinds = schema.get("type")
    if kinds is None:
        return _ALL | {"integer"}
    given = frozenset([kinds] if isinstance(kinds, str) else kinds)
    return given | {"integer"} if "number" in given else given


def _types(old: Schema, new: Schema, place: str) -> Iterator[str]:
    gone = sorted(_kinds(old) - _kinds(new))
    if gone:
        yield f"{_at(place)} is no longer of type {' or '.join(gone)}"


def _choices(old: Schema, new: Schema, place: str) -> Iterator[str]:
    before, after = _enum(old), _enum(new)
    if after is not None and before is None:
        yield f"{_at(place)} is one of a few values now"
    elif after is not None and before is not None:
        for text in sorted(before - after):
            yield f"{_at(place)} no longer takes {quoted(json.loads(text))}"


def _enum(schema: Schema) -> set[str] | None:
    """The values, as texts that tell 1 from true; const is a choice of one."""
    if "enum" not in schema and "const" not in schema:
        return None
    values = {json.dumps(one, sort_keys=True) for one in schema.get("enum", [])}
    if "const" not in schema:
        return values
    only = {json.dumps(schema["const"], sort_keys=True)}
    return only & values if "enum" in schema else only


def _bounds(old: Schema, new: Schema, place: str) -> Iterator[str]:
    for keyword in _LOWER:
        if keyword in new and not (keyword in old and old[keyword] >= new[keyword]):
            yield f"{_at(place)} has {keyword} {quoted(new[keyword])} now"
    for keyword in _UPPER:
        if keyword in new and not (keyword in old and old[keyword] <= new[keyword]):
            yield f"{_at(place)} has {keyword} {quoted(new[keyword])} now"


def _members(old: Schema, new: Schema, place: str, extra: bool) -> Iterator[str]:
    for name in sorted(set(new.get("required", [])) - set(old.get("required", []))):
        yield f"{place}/{name} is required now"
    before, after = old.get("properties", {}), new.get("properties", {})
    others_before = old.get("additionalProperties", True)
    others_after = new.get("additionalProperties", True)
    for name in sorted({*before, *after}):
        if name in before or extra:
            yield from narrowed(
                before.get(name, others_before),
                after.get(name, others_after if extra else True),
                f"{place}/{name}",
                extra=extra,
            )
    yield from narrowed(others_before, others_after, f"{place}/(others)", extra=extra)


def _rest(old: Schema, new: Schema, place: str, extra: bool) -> Iterator[str]:
    inner = old.get("items", True), new.get("items", True)
    if "prefixItems" not in old or old.get("prefixItems") == new.get("prefixItems"):
        yield from narrowed(*inner, f"{place}/items", extra=extra)
    yield from _alternatives(old, new, place, extra)
    for keyword in _EXACT:
        if keyword in new and not _same(old.get(keyword), new[keyword]):
            yield f"{_at(place)} has another {keyword}"
    if new.get("format") is not None and new.get("format") != old.get("format"):
        yield f"{_at(place)} has the format {quoted(new['format'])} now"


def _alternatives(old: Schema, new: Schema, place: str, extra: bool) -> Iterator[str]:
    if "anyOf" not in new:
        return
    for one in old.get("anyOf", [True]):
        fits = (not any(narrowed(one, other, extra=extra)) for other in new["anyOf"])
        if not any(fits):
            yield f"{_at(place)} has lost an alternative"


def _same(one: Any, other: Any) -> bool:
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
