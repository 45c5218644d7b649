"""Walks through an OpenAPI document: good requests, and every place for text in them."""

from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, Literal

Json = Any  # a document as it came
Step = str | int

_METHODS = ("get", "post", "put", "patch", "delete")
_BY_FORMAT = {
    "uuid": "00000000-0000-4000-8000-000000000000",
    "date-time": "2030-01-01T00:00:00Z",
}


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path, with a request that its schema allows."""

    method: str
    path: str
    parameters: Mapping[str, Json]  # schema by name, of the path
    queries: Mapping[str, Json]
    headers: Mapping[str, Json]
    body: Json | None
    body_schema: Json | None = field(repr=False)

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a text goes: a part of the request, and the way to it."""

    part: Literal["path", "query", "header", "body"]
    way: tuple[Step, ...]

    def put(self, body: Json, text: str) -> Json:
        """The body with the text in this place."""
        made = deepcopy(body)
        at = made
        for depth, step in enumerate(self.way[:-1]):
            if isinstance(at, dict) and at.get(step) is None:
                item: Json = {} if depth + 2 < len(self.way) else ""
                at[step] = [item] if isinstance(self.way[depth + 1], int) else {}
            at = at[step]
        at[self.way[-1]] = text
        return made


def operations(document: Json) -> Iterator[Operation]:
    """Every operation, in the order of the document."""
    for path, methods in document["paths"].items():
        for method in _METHODS:
            if method in methods:
                yield _operation(document, method.upper(), path, methods[method])


def _operation(document: Json, method: str, path: str, described: Json) -> Operation:
    places: dict[str, dict[str, Json]] = {"path": {}, "query": {}, "header": {}}
    for parameter in described.get("parameters", ()):
        places[parameter["in"]][parameter["name"]] = resolved(document, parameter["schema"])
    content = described.get("requestBody", {}).get("content", {})
    schema = content.get("application/json", {}).get("schema")
    schema = resolved(document, schema) if schema else None
    body = sample(document, schema) if schema else None
    return Operation(method, path, places["path"], places["query"], places["header"], body, schema)


def resolved(document: Json, schema: Json) -> Json:
    """Without references at its top, and the first of several that is not null."""
    while True:
        if "$ref" in schema:
            schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        elif "anyOf" in schema:
            schema = next(one for one in schema["anyOf"] if one.get("type") != "null")
        else:
            return schema


def sample(document: Json, schema: Json) -> Json:
    """The least that the schema allows."""
    schema = resolved(document, schema)
    if "enum" in schema or "const" in schema:
        return schema.get("const", schema.get("enum", [None])[0])
    kind = schema.get("type")
    if kind == "object":
        needed = schema.get("required", ())
        return {name: sample(document, schema["properties"][name]) for name in needed}
    if kind == "array":
        return [sample(document, schema["items"])]
    if kind in ("integer", "number"):
        return max(1, schema.get("minimum", 1))
    if kind == "boolean":
        return True
    return _BY_FORMAT.get(schema.get("format", ""), "text")


def places(document: Json, operation: Operation) -> Iterator[Place]:
    """Every place of the request that takes text."""
    for name in operation.parameters:
        yield Place("path", (name,))  # also a number is text in an address
    for name in operation.queries:
        yield Place("query", (name,))
    for name in operation.headers:
        yield Place("header", (name,))
    if operation.body_schema:
        for way in _ways(document, operation.body_schema, ()):
            yield Place("body", way)


def _ways(document: Json, schema: Json, way: tuple[Step, ...]) -> Iterator[tuple[Step, ...]]:
    schema = resolved(document, schema)
    if schema.get("type") == "object":
        for name, member in schema.get("properties", {}).items():
            yield from _ways(document, member, (*way, name))
    elif schema.get("type") == "array":
        yield from _ways(document, schema["items"], (*way, 0))
    elif schema.get("type") == "string":
        yield way
