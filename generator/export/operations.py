"""What a project offers: operations with names and shapes, from a contract or from a document."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from generator.contract import Contract
from generator.export.names import identifier, named, unique
from generator.export.shapes import Anything, Reader, Shape, resolved

MOST = 200
_METHODS = ("get", "post", "put", "patch", "delete")
_PLACES = ("path", "query", "header")
_IN_PATH = re.compile(r"{([^{}/]{1,100})}")

Document = Mapping[str, Any]  # OpenAPI that a stranger wrote


@dataclass(frozen=True, slots=True)
class Parameter:
    """`name` is what code says, `sent` what travels."""

    name: str
    sent: str
    place: str
    required: bool
    shape: Shape


@dataclass(frozen=True, slots=True)
class Operation:
    """One call that clients make. Without a shape the body, or the answer, is no JSON."""

    name: str
    method: str
    path: str
    summary: str
    parameters: tuple[Parameter, ...]
    body: Shape | None
    body_required: bool
    body_type: str
    answer: Shape | None


def of_contract(contract: Contract) -> tuple[Operation, ...]:
    """Those of a contract, in its order."""
    reader, taken = Reader({}), set[str]()
    return tuple(
        Operation(
            name=named(one.id, taken),
            method=one.method,
            path=one.path,
            summary=one.summary,
            parameters=_parameters(
                one.path,
                [
                    (each.name, each.location.value, each.required,
                     reader.read(each.schema_, root=each.schema_))
                    for each in one.parameters
                ],
            ),
            body=None if one.body is None else reader.read(one.body, root=one.body),
            body_required=one.body is not None,
            body_type=one.body_type,
            answer=None if one.response is None else reader.read(one.response, root=one.response),
        )
        for one in contract.operations
    )  # fmt: skip


def of_document(document: Document) -> tuple[Operation, ...]:
    """Those of an OpenAPI document, as far as it has the shape of one."""
    reader, taken = Reader(document), set[str]()
    return tuple(
        _operation(document, reader, taken, path, method, found)
        for path, method, found in _places(document)
    )


def _places(document: Document) -> Iterator[tuple[str, str, Document]]:
    paths, count = document.get("paths"), 0
    for path, methods in (paths if isinstance(paths, dict) else {}).items():
        for method in _METHODS:
            found = methods.get(method) if isinstance(methods, dict) else None
            if isinstance(found, dict) and str(path).startswith("/") and count < MOST:
                count += 1
                yield str(path), method, found


def _operation(
    document: Document, reader: Reader, taken: set[str], path: str, method: str, found: Document
) -> Operation:
    said = found.get("operationId")
    body_type, body = _content(_inner(document, found.get("requestBody")))
    needed = _inner(document, found.get("requestBody")).get("required") is True
    return Operation(
        name=named(said if isinstance(said, str) else f"{method} {path}", taken),
        method=method.upper(),
        path=path,
        summary=str(found.get("summary") or ""),
        parameters=_parameters(path, list(_described(document, reader, found))),
        body=None if body is None else reader.read(body),
        body_required=needed,
        body_type=body_type,
        answer=_answer(document, reader, found),
    )


def _described(
    document: Document, reader: Reader, found: Document
) -> Iterator[tuple[str, str, bool, Shape]]:
    listed = found.get("parameters")
    for one in listed[:50] if isinstance(listed, list) else ():
        inner = _inner(document, one)
        if isinstance(inner.get("name"), str) and inner.get("in") in _PLACES:
            shape = reader.read(inner.get("schema", {}))
            yield inner["name"], inner["in"], inner.get("required") is True, shape


def _parameters(path: str, described: list[tuple[str, str, bool, Shape]]) -> tuple[Parameter, ...]:
    """Those that are described and those that the path names; each has a name of its own."""
    in_path = list(dict.fromkeys(_IN_PATH.findall(path)))
    known = {name for name, place, _, _ in described if place == "path"}
    rows: list[tuple[str, str, bool, Shape]]
    rows = [(name, "path", True, Anything()) for name in in_path if name not in known]
    rows += [row for row in described if row[1] != "path" or row[0] in in_path]
    taken: set[str] = set()
    made = [
        Parameter(
            unique(identifier(sent, "value"), taken), sent, place, need or place == "path", shape
        )
        for sent, place, need, shape in rows
    ]
    return tuple(sorted(made, key=lambda one: not one.required))


def _answer(document: Document, reader: Reader, found: Document) -> Shape | None:
    """Of the first good status that has one."""
    answers = found.get("responses")
    if isinstance(answers, dict):
        for status in sorted(map(str, answers)):
            if status.startswith("2"):
                kind, schema = _content(_inner(document, answers.get(status)))
                return reader.read(schema) if schema is not None and "json" in kind else None
    return None


def _content(holder: Document) -> tuple[str, object]:
    """Media type and schema of a body; no schema when there is no body."""
    content = holder.get("content")
    if not isinstance(content, dict) or not content:
        return "", None
    kind = "application/json" if "application/json" in content else str(next(iter(content)))
    media = content.get(kind)
    return kind, media.get("schema", {}) if isinstance(media, dict) else {}


def _inner(document: Document, value: object) -> Document:
    """The object behind a reference; {} for what is none."""
    if isinstance(value, dict) and isinstance(value.get("$ref"), str):
        value = resolved(document, value["$ref"])
    return value if isinstance(value, dict) else {}
