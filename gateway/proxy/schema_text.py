"""Schemas for people: as an outline, and as an example. Pure and bounded."""

import json
from typing import Any

from gateway.proxy.openapi import Json, a_list, a_text, an_object, resolve

_DEPTH = 6
_LINES = 120
_CHARACTERS = 120
_CHOICES = 30
_BOUNDS = (
    ("minimum", "≥ {}"),
    ("exclusiveMinimum", "> {}"),
    ("maximum", "≤ {}"),
    ("exclusiveMaximum", "< {}"),
    ("minLength", "at least {} characters"),
    ("maxLength", "at most {} characters"),
    ("minItems", "at least {} items"),
    ("maxItems", "at most {} items"),
    ("pattern", "like {}"),
    ("default", "default {}"),
)


class Outline:
    """Writes one schema as indented lines; stops when it gets long."""

    def __init__(self, document: Json) -> None:
        self._document = document
        self._lines: list[str] = []

    def of(self, schema: object) -> str:
        """The lines."""
        self._lines = []
        self._write("", schema, 0, ())
        if len(self._lines) > _LINES:
            del self._lines[_LINES:]
            self._lines.append("…")
        return "\n".join(self._lines)

    def _write(self, label: str, schema: object, depth: int, above: tuple[str, ...]) -> None:
        if len(self._lines) > _LINES:
            return
        found, name = resolve(self._document, schema)
        shape = an_object(found)
        self._lines.append("  " * depth + f"{label}{summary(self._document, schema)}")
        if depth >= _DEPTH or (name and name in above):
            return
        inside = (*above, name) if name else above
        for part in _parts(self._document, shape):
            self._write(*part, depth + 1, inside)


def _parts(document: Json, shape: Json) -> list[tuple[str, object]]:
    """What a schema contains, each with its label."""
    required = set(map(str, a_list(shape.get("required"))))
    fields = an_object(shape.get("properties"))
    parts: list[tuple[str, object]] = [
        (f"{name}{'' if name in required else '?'}: ", one)
        for name, one in list(fields.items())[:_LINES]
    ]
    items = shape.get("items")
    if _is_composed(document, items):
        parts.append(("each: ", items))
    for word in ("allOf", "anyOf", "oneOf"):
        choices = a_list(shape.get(word))[:_CHOICES]
        if any(_is_composed(document, one) for one in choices):
            parts += [({"allOf": "and: "}.get(word, "or: "), one) for one in choices]
    extra = shape.get("additionalProperties")
    if _is_composed(document, extra):
        parts.append(("any name: ", extra))
    return parts


def _is_composed(document: Json, schema: object) -> bool:
    shape = an_object(resolve(document, schema)[0])
    return any(
        word in shape for word in ("properties", "items", "allOf", "anyOf", "oneOf")
    ) or isinstance(shape.get("additionalProperties"), dict)


def summary(document: Json, schema: object, depth: int = 3) -> str:
    """One line: the type and its bounds."""
    found, name = resolve(document, schema)
    shape = an_object(found)
    words = [_kind(document, shape, name, depth)]
    for word, text in _BOUNDS:
        if word in shape and not isinstance(shape[word], dict | list):
            words.append(text.format(_value(shape[word])))
    return ", ".join(words)


def _kind(document: Json, shape: Json, name: str, depth: int) -> str:
    kind = shape.get("type")
    text = " or ".join(map(str, kind[:4])) if isinstance(kind, list) else a_text(kind)
    if "const" in shape:
        return _value(shape["const"])
    if isinstance(shape.get("enum"), list):
        return " | ".join(_value(one) for one in shape["enum"][:12])
    if text == "array" and depth:
        return f"array of {_kind_of(document, shape.get('items'), depth)}"
    for word in ("anyOf", "oneOf", "allOf"):
        choices = a_list(shape.get(word))[:6]
        if choices and depth:
            joint = " and " if word == "allOf" else " or "
            return joint.join(_kind_of(document, one, depth) for one in choices)
    if a_text(shape.get("format")):
        text = f"{text} ({_cut(a_text(shape['format']))})"
    return name if text == "object" and name else text or "anything"


def _kind_of(document: Json, schema: object, depth: int) -> str:
    found, name = resolve(document, schema)
    return _kind(document, an_object(found), name, depth - 1)


def _value(value: object) -> str:
    return _cut(json.dumps(value, ensure_ascii=False))


def _cut(text: str) -> str:
    return text if len(text) <= _CHARACTERS else text[: _CHARACTERS - 1] + "…"


# `Any`: JSON
_PLAIN: dict[str, Any] = {
    "string": "string",
    "integer": 0,
    "number": 0.0,
    "boolean": True,
    "null": None,
}
_FORMATS = {
    "date": "2026-01-31",
    "date-time": "2026-01-31T12:00:00Z",
    "uuid": "00000000-0000-4000-8000-000000000000",
    "email": "name@example.com",
    "uri": "https://example.com/",
}


class Example:
    """Values of the shape of schemas: the author's when there is one, else made up."""

    def __init__(self, document: Json, most: int = 300) -> None:
        self._document = document
        self._left = most

    def of(self, schema: object, depth: int = 4) -> Any:
        """One value; null when the example is long enough. `Any`: JSON."""
        self._left -= 1
        if depth < 0 or self._left < 0:
            return None
        shape = an_object(resolve(self._document, schema)[0])
        for word in ("example", "const", "default"):
            if word in shape:
                return shape[word]
        for word in ("examples", "enum"):
            if a_list(shape.get(word)):
                return shape[word][0]
        for word in ("allOf", "anyOf", "oneOf"):
            if a_list(shape.get(word)):
                return self.of(shape[word][0], depth - 1)
        return self._made_up(shape, depth)

    def _made_up(self, shape: Json, depth: int) -> Any:
        kind = shape.get("type")
        if isinstance(kind, list):
            kind = kind[0] if kind else ""
        if kind == "array":
            return [self.of(shape.get("items", {}), depth - 1)] if depth else []
        if kind == "object" or "properties" in shape:
            fields = list(an_object(shape.get("properties")).items())[:20] if depth else []
            return {name: self.of(one, depth - 1) for name, one in fields}
        if kind == "string":
            return _FORMATS.get(a_text(shape.get("format")), "string")
        minimum = shape.get("minimum")
        if kind in ("integer", "number") and isinstance(minimum, int | float):
            return minimum
        return _PLAIN.get(a_text(kind))
