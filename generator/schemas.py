"""JSON Schemas that a model wrote: checked, without references, and safe to validate with. Pure.

A schema is hostile: it may refer to itself or to the outside, be endless, or carry an expression
that takes for ever. Expressions run on RE2, which takes time in proportion to its input.
"""

import json
from collections.abc import Iterator
from functools import cache
from typing import Any

import re2
from jsonschema import Draft202012Validator, FormatChecker, validators
from jsonschema.exceptions import SchemaError, ValidationError

from generator.contract import Json, Schema
from generator.texts import cleaned, depth_of, nodes_of, quoted

MAX_DEPTH = 24  # of the JSON, so about half as many nested objects
MAX_NODES = 1500  # schemas within a schema, references filled in
_MAX_PATTERN = 500
_MAX_WORK = 500_000  # pairs of a part of the value and a part of the schema
_DOLLARS = frozenset({"$ref", "$defs", "$comment"})
_MAPS = ("properties", "dependentSchemas")
_LISTS = ("allOf", "anyOf", "oneOf", "prefixItems")
_SINGLES = (
    "items", "additionalProperties", "contains", "propertyNames", "not", "if", "then", "else",
    "unevaluatedItems", "unevaluatedProperties",
)  # fmt: skip
_NO_FORMATS = FormatChecker(formats=())


class BadSchemaError(ValueError):
    """The schema cannot be used; the text says why."""


def faults(schema: Json) -> list[str]:
    """What is wrong with it, for whoever wrote it; nothing when it can be used."""
    try:
        flat = inlined(schema)
        Draft202012Validator.check_schema(flat, format_checker=_NO_FORMATS)
    except BadSchemaError as error:
        return [str(error)]
    except SchemaError as error:
        return [f"it is no JSON Schema: {cleaned(error.message, 160)}"]
    return list(_pattern_faults(flat))


def inlined(schema: Json) -> Schema:
    """The same with its references filled in; BadSchemaError when that cannot be."""
    if not isinstance(schema, dict):
        raise BadSchemaError("it is no object")
    if depth_of(schema) > MAX_DEPTH:
        raise BadSchemaError(f"it is nested more than {MAX_DEPTH} deep")
    filled = _Inliner(schema).fill(schema, ())
    return dict(filled)


class _Inliner:
    def __init__(self, root: Schema) -> None:
        self._root = root
        self._nodes = 0

    def fill(self, schema: Json, trail: tuple[str, ...]) -> Json:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise BadSchemaError(f"it has more than {MAX_NODES} parts")
        if isinstance(schema, bool):
            return schema
        if not isinstance(schema, dict):
            raise BadSchemaError(f"{quoted(schema)} stands where a schema belongs")
        _refuse_dollars(schema)
        own = {
            key: self._value(key, value, trail) for key, value in schema.items() if key[:1] != "$"
        }
        if "$ref" not in schema:
            return own
        target = self._follow(schema["$ref"], trail)
        return {"allOf": [target, own]} if _constrains(own) else target

    def _value(self, key: str, value: Json, trail: tuple[str, ...]) -> Json:
        if key in _MAPS and isinstance(value, dict):
            return {name: self.fill(one, trail) for name, one in value.items()}
        if key in _LISTS and isinstance(value, list):
            return [self.fill(one, trail) for one in value]
        return self.fill(value, trail) if key in _SINGLES else value

    def _follow(self, reference: Json, trail: tuple[str, ...]) -> Json:
        name = reference.removeprefix("#/$defs/") if isinstance(reference, str) else ""
        definitions = self._root.get("$defs")
        if not isinstance(definitions, dict) or f"#/$defs/{name}" != reference:
            raise BadSchemaError(f"only #/$defs/name can be referred to, not {quoted(reference)}")
        if name not in definitions:
            raise BadSchemaError(f"{quoted(reference)} is not there")
        if name in trail:
            raise BadSchemaError(f"{quoted(reference)} refers to itself")
        return self.fill(definitions[name], (*trail, name))


def _refuse_dollars(schema: Schema) -> None:
    strange = sorted(key for key in schema if key.startswith("$") and key not in _DOLLARS)
    strange += ["patternProperties"] if "patternProperties" in schema else []  # runs on `re`
    if strange:
        raise BadSchemaError(f"{quoted(strange[0])} cannot be used")


def _constrains(schema: Schema) -> bool:
    return bool(schema.keys() - {"title", "description", "default", "examples", "deprecated"})


def within(schema: Json) -> Iterator[Schema]:
    """The schema and all in it; of an inlined one."""
    if not isinstance(schema, dict):
        return
    yield schema
    for key in _MAPS:
        for one in schema.get(key, {}).values():
            yield from within(one)
    for key in _LISTS:
        for one in schema.get(key, []):
            yield from within(one)
    for key in _SINGLES:
        yield from within(schema.get(key))


def _pattern_faults(schema: Schema) -> Iterator[str]:
    for one in within(schema):
        pattern = one.get("pattern")
        if pattern is not None and _compiled(pattern) is None:
            yield (
                f"the pattern {quoted(pattern)} is too long or not in RE2's syntax "
                "(no look-around, no back-references)"
            )


@cache
def _options() -> Any:  # `Any`: re2 has no types
    options = re2.Options()
    options.log_errors = False
    options.max_mem = 4 * 1024 * 1024
    return options


def _compiled(pattern: str) -> Any:
    try:
        return re2.compile(pattern, _options()) if len(pattern) <= _MAX_PATTERN else None
    except (re2.error, ValueError):
        return None


def _pattern(_: Any, pattern: str, value: Json, __: Any) -> Iterator[ValidationError]:
    expression = _compiled(pattern)
    if isinstance(value, str) and (expression is None or not expression.search(value)):
        yield ValidationError(f"{quoted(value)} does not match {quoted(pattern)}")


def _unique(_: Any, wanted: bool, value: Json, __: Any) -> Iterator[ValidationError]:
    """In time proportional to the list; the library's own compares each with each."""
    if wanted and isinstance(value, list):
        seen = {json.dumps(one, sort_keys=True) for one in value}
        if len(seen) < len(value):
            yield ValidationError("an item is there twice")


def _nothing(_: Any, __: Any, ___: Any, ____: Any) -> Iterator[ValidationError]:
    yield from ()


_SAFE = {"pattern": _pattern, "uniqueItems": _unique}
_LEFT_OUT = (
    "required", "minProperties", "dependentRequired", "oneOf", "not", "if",
    "unevaluatedProperties",
)  # fmt: skip
_extend: Any = validators.extend  # `Any`: it has no types
_Whole = _extend(Draft202012Validator, _SAFE)
_Part = _extend(Draft202012Validator, _SAFE | dict.fromkeys(_LEFT_OUT, _nothing))


def problem(value: Json, schema: Json, *, part: bool = False) -> str:
    """Why the value does not hold to an inlined schema, in a sentence; empty when it does.

    With `part` objects may lack members, as in what an example expects.
    """
    if nodes_of(value) * sum(1 for _ in within(schema)) > _MAX_WORK:
        return ""  # too large to look at every part of it; other cases see smaller ones
    try:
        error = next((_Part if part else _Whole)(schema).iter_errors(value), None)
    except ArithmeticError:
        return "it has a number that is too large"
    if error is None:
        return ""
    place = "/".join(str(step) for step in error.absolute_path)
    return cleaned(f"{'at /' + place + ': ' if place else ''}{error.message}", 300)
