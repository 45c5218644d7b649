"""Reads stored OpenAPI documents. Pure, and it trusts no shape: they come from sandboxes."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
MOST_OPERATIONS = 2000
_STEPS = 16  # from one reference to the next

Json = Mapping[str, Any]  # `Any`: JSON
_NOTHING: Json = {}


@dataclass(frozen=True, slots=True)
class Parameter:
    """One that a call may carry."""

    name: str
    place: str  # path, query, header or cookie
    is_required: bool
    schema: Any  # an object, or a boolean; `Any`: JSON
    details: Json = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path."""

    method: str  # in upper case
    path: str
    details: Json
    parameters: tuple[Parameter, ...]
    body: Json | None  # the request body object


def an_object(value: object) -> Json:
    """The value when it is an object, else an empty one."""
    return value if isinstance(value, dict) else _NOTHING


def a_list(value: object) -> list[Any]:
    """The value when it is a list, else an empty one."""
    return value if isinstance(value, list) else []


def a_text(value: object) -> str:
    """The value when it is text, else none."""
    return value if isinstance(value, str) else ""


def resolve(document: Json, value: object) -> tuple[Any, str]:
    """What a value stands for, following references inside the document, and the last one's name.

    One that leads nowhere, or in a circle, stands for an empty object.
    """
    name = ""
    for _ in range(_STEPS):
        reference = value.get("$ref") if isinstance(value, dict) else None
        if not isinstance(reference, str):
            return value, name
        value, name = _at(document, reference), reference.rpartition("/")[2]
    return {}, name


def _at(document: Json, reference: str) -> object:
    if not reference.startswith("#/"):
        return {}
    value: object = document
    for step in reference[2:].split("/"):
        key = step.replace("~1", "/").replace("~0", "~")
        if not isinstance(value, dict) or key not in value:
            return {}
        value = value[key]
    return value


def operations(document: Json) -> Iterator[Operation]:
    """All of them, in the order of the document."""
    found = 0
    for path, stored in an_object(document.get("paths")).items():
        item = an_object(resolve(document, stored)[0])
        for method in item:
            details = item[method]
            if method not in METHODS or not isinstance(details, dict):
                continue
            found += 1
            if found > MOST_OPERATIONS:
                return
            yield _operation(document, path, method, item, details)


def _operation(document: Json, path: str, method: str, item: Json, details: Json) -> Operation:
    parameters: dict[tuple[str, str], Parameter] = {}
    for stored in (*a_list(item.get("parameters")), *a_list(details.get("parameters"))):
        parameter = _parameter(document, stored)
        if parameter is not None:
            parameters[parameter.place, parameter.name] = parameter
    body = resolve(document, details.get("requestBody"))[0]
    return Operation(
        method.upper(),
        path,
        details,
        tuple(parameters.values()),
        body if isinstance(body, dict) else None,
    )


def _parameter(document: Json, stored: object) -> Parameter | None:
    one = an_object(resolve(document, stored)[0])
    name, place = a_text(one.get("name")), a_text(one.get("in"))
    if not name or place not in ("path", "query", "header", "cookie"):
        return None
    return Parameter(name, place, one.get("required") is True, one.get("schema", True), one)
