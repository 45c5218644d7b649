"""Checks JSON values against JSON Schema 2020-12."""

import re
from collections.abc import Iterator
from itertools import count
from typing import Any

from fastapi import HTTPException
from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError
from jsonschema.validators import extend
from pydantic import BaseModel, Field

MAX_PARTS = 1_000
MAX_REFERENCES = 1_000
MAX_ERRORS = 50
MAX_DEPTH = 30
MAX_PATTERN = 200
MOVING = ("$id", "$anchor", "$dynamicRef", "$dynamicAnchor", "$recursiveRef")
MAX_MATCHED = 200  # characters of a text that a pattern is tried on
BAD_SCHEMA = {422: {"description": "Not a schema, or one that takes too long"}}


class SchemaIn(BaseModel):
    """A schema; references may only point into itself."""

    json_schema: dict[str, Any] = Field(alias="schema")


class ValidateIn(SchemaIn):
    """A schema and a value."""

    value: Any


class Fault(BaseModel):
    """What is wrong, and where in the value."""

    path: str
    message: str


class Verdict(BaseModel):
    """Whether it is valid; at most 50 faults are told."""

    valid: bool
    errors: list[Fault]


def parts_of(value: object) -> Iterator[object]:
    """Everything in it; refuses what is too large or too deep."""
    level, seen = [value], 0
    for _ in range(MAX_DEPTH):
        seen += len(level)
        if seen > MAX_PARTS:
            break
        yield from level
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return
    raise HTTPException(422, "The schema or the value is too large or too deep")


def require_quick(pattern: object) -> None:
    """Only patterns that cannot take long: no groups, and few repetitions."""
    if isinstance(pattern, str):
        is_anchored = pattern.startswith("^") and "|" not in pattern
        repetitions = sum(character in "*+?{" for character in pattern)
        if len(pattern) > MAX_PATTERN or "(" in pattern or repetitions > 1 + is_anchored:
            raise HTTPException(
                422, "Patterns have no groups and at most one repetition, with ^ two"
            )


def require_short_texts(schema: dict[str, Any], value: object) -> None:
    """Where the schema has patterns, texts they are tried on are short."""
    words = {name for part in parts_of(schema) if isinstance(part, dict) for name in part}
    parts = list(parts_of(value))
    names = [name for part in parts if isinstance(part, dict) for name in part]
    texts = [*names, *(part for part in parts if isinstance(part, str))]
    if words & {"pattern", "patternProperties"} and any(len(text) > MAX_MATCHED for text in texts):
        raise HTTPException(422, "With patterns, texts have at most 200 characters")


def require_own_references(part: dict[str, Any], known: set[str]) -> None:
    """References lead to `#` or to a definition at the top, and nothing moves their start."""
    if any(isinstance(part.get(name), str) for name in MOVING):
        raise HTTPException(422, "Identifiers and anchors are not known here")
    reference = part.get("$ref")
    if isinstance(reference, str) and reference not in known:
        raise HTTPException(422, "A reference leads nowhere or out of the schema")


def require_safe(schema: dict[str, Any]) -> None:
    """A schema that needs nothing from elsewhere and whose patterns are quick."""
    definitions = schema.get("$defs")
    names = definitions if isinstance(definitions, dict) else {}
    known = {"#", *(f"#/$defs/{name}" for name in names)}
    for part in parts_of(schema):
        if isinstance(part, dict):
            require_own_references(part, known)
            require_quick(part.get("pattern"))
            patterns = part.get("patternProperties")
            for pattern in patterns if isinstance(patterns, dict) else ():
                require_quick(pattern)


def validator_of(schema: dict[str, Any]) -> Any:
    """A validator that follows few references."""
    require_safe(schema)
    references = count()

    def follow(validator: Any, reference: str, value: object, inside: object) -> Any:
        if next(references) > MAX_REFERENCES:
            raise HTTPException(422, "The schema follows too many references")
        yield from Draft202012Validator.VALIDATORS["$ref"](validator, reference, value, inside)

    checked = extend(Draft202012Validator, {"$ref": follow})
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        raise HTTPException(422, f"This is not a schema: {error.message[:200]}") from error
    return checked(schema)


def faults_of(schema: dict[str, Any], value: object) -> list[Fault]:
    """The first faults of a value."""
    try:
        validator = validator_of(schema)
        require_short_texts(schema, value)
        found = []
        for fault in validator.iter_errors(value):
            path = "".join(f"/{step}" for step in fault.absolute_path)
            found.append(Fault(path=path[:500], message=fault.message[:300]))
            if len(found) == MAX_ERRORS:
                break
    except (RecursionError, re.error) as error:
        raise HTTPException(422, "The schema cannot be followed") from error
    return sorted(found, key=lambda fault: (fault.path, fault.message))


@router.post("/validate", responses=BAD_SCHEMA)
def validate(body: ValidateIn) -> Verdict:
    """Whether the value is as the schema says, and what is wrong with it."""
    faults = faults_of(body.json_schema, body.value)
    return Verdict(valid=not faults, errors=faults)


@router.post("/check", responses=BAD_SCHEMA)
def check_schema(body: SchemaIn) -> Verdict:
    """Whether the schema itself is one that can be used here."""
    validator_of(body.json_schema)
    return Verdict(valid=True, errors=[])
