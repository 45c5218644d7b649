"""Says where a value certainly does not fit a JSON schema. Pure, and it always comes to an end.

Schemas come from sandboxes. So nothing outside the document is read, patterns are RE2's, and
each check has a number of steps and a time; when either is over, BudgetError is raised and
nothing is known. A word that is not here (`unevaluatedProperties`, `uniqueItems`, `format`)
refuses nothing. Values are taken as pydantic takes them by default: `"5"` is an integer, `1`
and `"yes"` are booleans, `5.0` is an integer, and what has a format may be a number.
"""

import math
import time
from collections.abc import Callable, Iterator
from typing import Any

import re2

from gateway.proxy.openapi import Json, a_list, an_object, resolve

MOST_ERRORS = 20
_LONGEST_PATTERN = 1000
_MOST_PATTERNS = 2000
_PATTERN_MEMORY = 256 * 1024
_DEPTH = 64
_LOOK_EVERY = 64  # steps, at the clock
_SEARCH = 2_000_000  # length of a text times size of a pattern
_TRUE = frozenset({"1", "true", "t", "yes", "y", "on"})
_FALSE = frozenset({"0", "false", "f", "no", "n", "off"})

Found = tuple[str, str]  # where, and what is wrong
Check = Callable[["Checker", Any, Any, str, int], Iterator[Found]]


class BudgetError(Exception):
    """The check took too long; nothing is known about the value."""


class Patterns:
    """Compiled ones of one document; None for what RE2 does not take."""

    def __init__(self) -> None:
        self._known: dict[str, Any] = {}  # `Any`: re2 has no types
        self._options = re2.Options()
        self._options.max_mem = _PATTERN_MEMORY
        self._options.log_errors = False

    def get(self, pattern: object, check: "Checker") -> Any:
        """To search with, or None."""
        if not isinstance(pattern, str) or len(pattern) > _LONGEST_PATTERN:
            return None
        if pattern not in self._known and len(self._known) < _MOST_PATTERNS:
            check.step(_LOOK_EVERY)
            try:
                self._known[pattern] = re2.compile(pattern, self._options)
            except (re2.error, ValueError):
                self._known[pattern] = None
        return self._known.get(pattern)


class Checker:
    """One check of one request."""

    def __init__(
        self,
        document: Json,
        patterns: Patterns,
        *,
        steps: int,
        until: float,
        clock: Callable[[], float] = time.thread_time,
    ) -> None:
        self.document = document
        self.patterns = patterns
        self._left = steps
        self._until = until
        self._clock = clock

    def step(self, count: int = 1) -> None:
        """Counts; raises BudgetError."""
        before = self._left
        self._left -= count
        if self._left < 0 or (
            before // _LOOK_EVERY != self._left // _LOOK_EVERY and self._clock() > self._until
        ):
            raise BudgetError

    def errors(self, schema: Any, value: Any, where: str, depth: int = 0) -> Iterator[Found]:
        """What is wrong with the value, place by place."""
        self.step(1 + len(schema) // 16 if isinstance(schema, dict) else 1)
        if depth > _DEPTH:
            raise BudgetError
        if isinstance(schema, dict) and isinstance(schema.get("$ref"), str):
            yield from self.errors(resolve(self.document, schema)[0], value, where, depth + 1)
        if schema is False:
            yield where, "may not be there"
        if not isinstance(schema, dict):
            return
        if value is None and schema.get("nullable") is True:  # OpenAPI 3.0
            return
        for word in schema:
            check = _CHECKS.get(word)
            if check is not None:
                yield from check(self, schema, value, where, depth)

    def fits(self, schema: Any, value: Any, depth: int) -> bool:
        """Whether nothing is wrong with it."""
        return next(self.errors(schema, value, "", depth + 1), None) is None


# --- types, taken as pydantic takes them


def _number(value: Any) -> float | int | None:
    """What a number is read from; None when the value is none."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int | float):
        return value
    if isinstance(value, str) and len(value) <= 4500:
        text = value.strip()
        for read in (int, float):
            try:
                return read(text)
            except ValueError:
                continue
    return None


def _is_integer(value: Any) -> bool:
    number = _number(value)
    return number is not None and (isinstance(number, int) or number.is_integer())


def _is_boolean(value: Any) -> bool:
    if isinstance(value, str):
        return value.strip().lower() in _TRUE or value.strip().lower() in _FALSE
    return isinstance(value, bool) or value in (0, 1)


def _fits_type(kind: object, value: Any, schema: Json) -> bool:
    match kind:
        case "integer":
            return _is_integer(value)
        case "number":
            return _number(value) is not None
        case "boolean":
            return isinstance(value, bool | int | float | str) and _is_boolean(value)
        case "string":
            # dates, times and durations are read from numbers too
            loose = "format" in schema and isinstance(value, int | float)
            return isinstance(value, str) or loose
        case "array":
            return isinstance(value, list)
        case "object":
            return isinstance(value, dict)
        case "null":
            return value is None
    return True


def _type(_: Checker, schema: Json, value: Any, where: str, __: int) -> Iterator[Found]:
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    if not any(_fits_type(kind, value, schema) for kind in kinds[:10]):
        yield where, f"is not of type {' or '.join(str(kind)[:20] for kind in kinds[:10])}"


def _same(one: Any, other: Any) -> bool:
    """Equal, or equal once both are read as a number or a boolean."""
    if one == other:
        return True
    if isinstance(one, dict | list) or isinstance(other, dict | list):
        return False
    if isinstance(one, bool) and isinstance(other, str):
        return other.lower() in (_TRUE if one else _FALSE)
    number = None if isinstance(one, str) else _number(one)
    return number is not None and number == _number(other)


def _enum(check: Checker, schema: Json, value: Any, where: str, _: int) -> Iterator[Found]:
    wanted = [schema["const"]] if "const" in schema else schema["enum"]
    if not isinstance(wanted, list):
        return
    nested = any(isinstance(one, dict | list) for one in wanted)
    check.step(len(wanted) * (_LOOK_EVERY if nested else 1))
    if not any(_same(one, value) for one in wanted):
        yield where, "is not one of the values that are allowed"


# --- bounds


def _bound(word: str, is_wrong: Callable[[Any, Any], bool], text: str) -> Check:
    def check(_: Checker, schema: Json, value: Any, where: str, __: int) -> Iterator[Found]:
        limit = schema[word]
        if not _is_plain_number(limit):
            return
        number = value if _is_plain_number(value) else None
        if schema.get("type") in ("integer", "number"):
            number = _number(value)
        if "format" in schema and schema.get("type") == "string":
            number = None  # only written as one
        if number is not None and not math.isnan(number) and is_wrong(number, limit):
            yield where, text.format(_written(limit))

    return check


def _written(limit: float) -> str:
    """40, not 40.0."""
    return str(int(limit)) if isinstance(limit, float) and limit.is_integer() else str(limit)


def _is_plain_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _size(word: str, kind: type, is_wrong: Callable[[Any, Any], bool], text: str) -> Check:
    def check(_: Checker, schema: Json, value: Any, where: str, __: int) -> Iterator[Found]:
        limit = schema[word]
        if kind is str and "format" in schema:
            return  # bytes are counted otherwise
        if word == "maxItems" and schema.get("uniqueItems") is True:
            return  # a set is counted when equal ones have become one
        if isinstance(value, kind) and _is_plain_number(limit) and is_wrong(len(value), limit):  # type: ignore[arg-type]
            yield where, text.format(_written(limit))

    return check


def _pattern(check: Checker, schema: Json, value: Any, where: str, _: int) -> Iterator[Found]:
    if isinstance(value, str) and "format" not in schema:
        pattern = check.patterns.get(schema["pattern"], check)
        if pattern is not None and not _is_found(check, pattern, value):
            yield where, "does not have the form that is asked for"


def _is_found(check: Checker, pattern: Any, text: str) -> bool:
    """Also when engines differ: what `\\d` and a line's end are, is not the same to all."""
    if len(text) * pattern.programsize > _SEARCH:
        return True
    check.step(1 + len(text) * pattern.programsize // 2000)
    if pattern.search(text) is not None:
        return True
    is_plain = "\\" not in pattern.pattern and "(?" not in pattern.pattern
    return not (text.isascii() or is_plain) or text.endswith("\n")


# --- objects and lists


def _required(check: Checker, schema: Json, value: Any, where: str, _: int) -> Iterator[Found]:
    if isinstance(value, dict):
        names = a_list(schema["required"])
        check.step(len(names))
        fields = an_object(schema.get("properties"))
        for name in names:
            if not isinstance(name, str) or name in value:
                continue
            if an_object(fields.get(name)).get("readOnly") is not True:
                yield _at(where, name), "is missing"


def _properties(
    check: Checker, schema: Json, value: Any, where: str, depth: int
) -> Iterator[Found]:
    if isinstance(value, dict):
        fields = an_object(schema["properties"])
        fewer = fields if len(fields) < len(value) else value
        check.step(len(fewer))
        for name in fewer:
            if name in fields and name in value:
                yield from check.errors(fields[name], value[name], _at(where, name), depth + 1)


def _pattern_properties(
    check: Checker, schema: Json, value: Any, where: str, depth: int
) -> Iterator[Found]:
    if not isinstance(value, dict):
        return
    for text, inner in an_object(schema["patternProperties"]).items():
        pattern = check.patterns.get(text, check)
        for name in value if pattern is not None else ():
            check.step(1 + len(name) * pattern.programsize // 2000)
            if name.isascii() and pattern.search(name) is not None:
                yield from check.errors(inner, value[name], _at(where, name), depth + 1)


def _additional(
    check: Checker, schema: Json, value: Any, where: str, depth: int
) -> Iterator[Found]:
    if not isinstance(value, dict) or schema["additionalProperties"] is True:
        return
    known = an_object(schema.get("properties"))
    texts = an_object(schema.get("patternProperties"))
    check.step(len(texts) + len(value) // 4)
    patterns = [check.patterns.get(text, check) for text in texts]
    if None in patterns:
        return  # what it would have allowed is not known
    for name, inner in value.items():
        if name not in known and not any(_is_found(check, one, name) for one in patterns):
            found = check.errors(schema["additionalProperties"], inner, _at(where, name), depth + 1)
            yield from found


def _items(check: Checker, schema: Json, value: Any, where: str, depth: int) -> Iterator[Found]:
    if isinstance(value, list):
        first = len(a_list(schema.get("prefixItems")))
        for number, inner in enumerate(value[first:], first):
            yield from check.errors(schema["items"], inner, _at(where, number), depth + 1)


def _prefix(check: Checker, schema: Json, value: Any, where: str, depth: int) -> Iterator[Found]:
    if isinstance(value, list):
        schemas = a_list(schema["prefixItems"])
        for number, (one, inner) in enumerate(zip(schemas, value, strict=False)):
            yield from check.errors(one, inner, _at(where, number), depth + 1)


# --- several at once


def _all_of(check: Checker, schema: Json, value: Any, where: str, depth: int) -> Iterator[Found]:
    for one in a_list(schema["allOf"]):
        yield from check.errors(one, value, where, depth + 1)


def _any_of(word: str) -> Check:
    """`oneOf` too: pydantic takes the first that fits, and its readings overlap."""

    def check(check: Checker, schema: Json, value: Any, where: str, depth: int) -> Iterator[Found]:
        choices = a_list(schema[word])
        if choices and not any(check.fits(one, value, depth) for one in choices):
            if len(choices) == 2 and {"type": "null"} in choices:
                other = choices[0] if choices[1] == {"type": "null"} else choices[1]
                yield from check.errors(other, value, where, depth + 1)
            else:
                yield where, "fits none of the forms that are allowed"

    return check


def _at(where: str, name: object) -> str:
    text = str(name)[:100]
    return f"{where}.{text}" if where else text


_CHECKS: dict[str, Check] = {
    "type": _type,
    "const": _enum,
    "enum": _enum,
    "minimum": _bound("minimum", lambda a, b: a < b, "is less than {}"),
    "maximum": _bound("maximum", lambda a, b: a > b, "is more than {}"),
    "exclusiveMinimum": _bound("exclusiveMinimum", lambda a, b: a <= b, "is not more than {}"),
    "exclusiveMaximum": _bound("exclusiveMaximum", lambda a, b: a >= b, "is not less than {}"),
    "minLength": _size("minLength", str, lambda a, b: a < b, "is shorter than {} characters"),
    "maxLength": _size("maxLength", str, lambda a, b: a > b, "is longer than {} characters"),
    "minItems": _size("minItems", list, lambda a, b: a < b, "has fewer than {} items"),
    "maxItems": _size("maxItems", list, lambda a, b: a > b, "has more than {} items"),
    "minProperties": _size("minProperties", dict, lambda a, b: a < b, "has fewer than {} fields"),
    "maxProperties": _size("maxProperties", dict, lambda a, b: a > b, "has more than {} fields"),
    "pattern": _pattern,
    "required": _required,
    "properties": _properties,
    "patternProperties": _pattern_properties,
    "additionalProperties": _additional,
    "items": _items,
    "prefixItems": _prefix,
    "allOf": _all_of,
    "anyOf": _any_of("anyOf"),
    "oneOf": _any_of("oneOf"),
}
