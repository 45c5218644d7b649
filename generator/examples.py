"""How an example's texts are read: its path, its parameters, values kept for later. Pure."""

import json
import re
from collections.abc import Mapping
from urllib.parse import quote, unquote

from generator.contract import Example, Json, Operation, Parameter, Schema

_PARAMETER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]{0,63})\}")
_KEPT = re.compile(r"\{([a-z][a-z0-9_]{0,31})\}")


def parameters_in(path: str) -> list[str]:
    """Names in a path such as /items/{item_id}, in order."""
    return _PARAMETER.findall(path)


def matched(template: str, path: str) -> dict[str, str] | None:
    """The value of each parameter where the path is one of the template's; else None."""
    wanted, given = template.split("/"), path.split("/")
    if len(wanted) != len(given):
        return None
    values = {}
    for segment, text in zip(wanted, given, strict=True):
        found = _PARAMETER.fullmatch(segment)
        if found is None and segment != unquote(text):
            return None
        if found is not None:
            if not text:
                return None
            values[found[1]] = unquote(text)
    return values


def placeholders(value: Json) -> set[str]:
    """Names of kept values that the texts in it may stand for."""
    if isinstance(value, str):
        return set(_KEPT.findall(value))
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return set().union(*(placeholders(one) for one in inner))


def filled(value: Json, kept: Mapping[str, Json]) -> Json:
    """The same with what was kept; a text that is nothing but `{name}` becomes the value."""
    if isinstance(value, str):
        whole = _KEPT.fullmatch(value)
        if whole and whole[1] in kept:
            return kept[whole[1]]
        return _KEPT.sub(lambda found: _text(kept.get(found[1], found[0])), value)
    if isinstance(value, dict):
        return {name: filled(one, kept) for name, one in value.items()}
    return [filled(one, kept) for one in value] if isinstance(value, list) else value


def filled_path(path: str, kept: Mapping[str, Json]) -> str:
    """A path with what was kept, each value one segment at most."""
    return _KEPT.sub(
        lambda found: quote(_text(kept[found[1]]), safe="") if found[1] in kept else found[0], path
    )


def _text(value: Json) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def typed(text: str, schema: Schema) -> Json:
    """What a parameter's text means under its schema; the text itself where it means nothing."""
    kinds = schema.get("type")
    wanted = set(kinds if isinstance(kinds, list) else [kinds])
    for one in schema.get("anyOf", []):
        wanted |= {one.get("type")} if isinstance(one, dict) else set()
    if "boolean" in wanted and text.lower() in ("true", "false", "1", "0"):
        return text.lower() in ("true", "1")
    try:
        if "integer" in wanted:
            return int(text)
        if "number" in wanted:
            return float(text)
    except ValueError:
        return text
    if "array" in wanted:
        inner = schema.get("items")
        return [typed(part, inner if isinstance(inner, dict) else {}) for part in text.split(",")]
    return text


def given(operation: Operation, example: Example) -> dict[tuple[str, str], str]:
    """The texts of all parameters that an example gives, by location and name."""
    path = matched(operation.path, example.path) or {}
    return (
        {("path", name): text for name, text in path.items()}
        | {("query", name): text for name, text in example.query.items()}
        | {("header", name.lower()): text for name, text in example.headers.items()}
    )


def place(parameter: Parameter) -> tuple[str, str]:
    """Where `given` has it."""
    name = parameter.name.lower() if parameter.location == "header" else parameter.name
    return str(parameter.location), name


_JSON = re.compile(r"application/(json|[a-z0-9.+-]+\+json)", re.IGNORECASE)


def is_json(media_type: str) -> bool:
    """Whether a media type is one of JSON's."""
    return _JSON.fullmatch(media_type.partition(";")[0].strip()) is not None
