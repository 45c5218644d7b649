"""Shapes of values, read from JSON Schema: what both clients are typed from. Pure.

Schemas are hostile: references are followed within the document only, and there is an end to
depth and to quantity. What is beyond, or not understood, is `Anything`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

MOST_SHAPES = 3_000  # of one project
_DEPTH = 12
_FIELDS = 100
_CHOICES = 50
_REFERENCES = 20
_PLAIN = {
    "string": "text",
    "integer": "whole",
    "number": "real",
    "boolean": "flag",
    "null": "nothing",
}

Schema = Mapping[str, Any]  # of a document that a stranger wrote


@dataclass(frozen=True, slots=True)
class Anything:
    """No more is known of it."""


@dataclass(frozen=True, slots=True)
class Plain:
    """`kind` is text, whole, real, flag or nothing."""

    kind: str


@dataclass(frozen=True, slots=True)
class Choice:
    """One of these texts."""

    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Many:
    """A list of one shape."""

    item: "Shape"


@dataclass(frozen=True, slots=True)
class Named:
    """An object with any names, whose values have one shape."""

    item: "Shape"


@dataclass(frozen=True, slots=True)
class Field:
    """A member of an object."""

    name: str
    shape: "Shape"
    required: bool


@dataclass(frozen=True, slots=True)
class Thing:
    """An object with known members."""

    fields: tuple[Field, ...]


@dataclass(frozen=True, slots=True)
class Either:
    """One of several shapes."""

    shapes: "tuple[Shape, ...]"


Shape = Anything | Plain | Choice | Many | Named | Thing | Either


class Reader:
    """Reads the schemas of one document, with one end to their quantity."""

    def __init__(self, root: Schema, most: int = MOST_SHAPES) -> None:
        self._root = root
        self._left = most

    def read(self, schema: object, depth: int = 0, root: Schema | None = None) -> Shape:
        """The shape of what a schema describes."""
        self._left -= 1
        found = self._followed(schema, root or self._root)
        if found is None or depth > _DEPTH or self._left < 0:
            return Anything()
        return self._shape(found, depth + 1, root)

    def _shape(self, schema: Schema, depth: int, root: Schema | None) -> Shape:
        choices = schema.get("enum")
        if isinstance(choices, list) and _are_texts(choices):
            return Choice(tuple(dict.fromkeys(choices)))
        for name in ("anyOf", "oneOf"):
            if isinstance(schema.get(name), list) and schema[name]:
                inner = [self.read(one, depth, root) for one in schema[name][:_CHOICES]]
                return _either(inner)
        kind = schema.get("type")
        if isinstance(kind, list):
            parts = [{**schema, "type": one} for one in kind[:_CHOICES] if isinstance(one, str)]
            return _either([self.read(one, depth, root) for one in parts])
        if kind == "array":
            return Many(self.read(schema.get("items", {}), depth, root))
        if kind == "object" or "properties" in schema:
            return self._object(schema, depth, root)
        return Plain(_PLAIN[kind]) if isinstance(kind, str) and kind in _PLAIN else Anything()

    def _object(self, schema: Schema, depth: int, root: Schema | None) -> Shape:
        properties = schema.get("properties")
        if not isinstance(properties, dict) or not properties:
            return Named(self.read(schema.get("additionalProperties", {}), depth, root))
        needed = schema.get("required")
        names = (
            {one for one in needed if isinstance(one, str)} if isinstance(needed, list) else set()
        )
        return Thing(
            tuple(
                Field(str(name), self.read(inner, depth, root), name in names)
                for name, inner in list(properties.items())[:_FIELDS]
            )
        )

    def _followed(self, schema: object, root: Schema) -> Schema | None:
        """The schema behind references; None for what is none."""
        for _ in range(_REFERENCES):
            if not isinstance(schema, dict):
                return None
            reference = schema.get("$ref")
            if not isinstance(reference, str):
                return schema
            schema = resolved(root, reference)
        return None


def resolved(root: Schema, reference: str) -> object:
    """What a local reference leads to; None for any other."""
    if not reference.startswith("#"):
        return None
    found: object = root
    for step in reference[1:].split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        found = found.get(name) if isinstance(found, dict) else None
    return found


def _are_texts(choices: list[object]) -> bool:
    return 0 < len(choices) <= _CHOICES and all(isinstance(one, str) for one in choices)


def _either(shapes: list[Shape]) -> Shape:
    flat = list(dict.fromkeys(_members(shapes)))
    if any(isinstance(one, Anything) for one in flat) or not flat:
        return Anything()
    return flat[0] if len(flat) == 1 else Either(tuple(flat))


def _members(shapes: list[Shape]) -> Iterator[Shape]:
    for one in shapes:
        if isinstance(one, Either):
            yield from one.shapes
        else:
            yield one
