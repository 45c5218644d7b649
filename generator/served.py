"""The document that a candidate made of itself, against its contract. Hostile text in."""

import re
from collections.abc import Iterator
from typing import Any

from generator.contract import Contract, Operation, Parameter
from generator.texts import BadJsonError, parsed, quoted
from generator.types import Finding, Gate, Severity

_CHARACTERS, _DEPTH = 2_000_000, 60
_METHODS = ("get", "post", "put", "patch", "delete")
_MOST_EXTRA = 10
_HOPS = 8
Place = tuple[str, str]
Node = dict[str, Any]  # `Any`: JSON from a sandbox


def findings(contract: Contract, text: str) -> Iterator[Finding]:
    """What the app says of itself that the contract does not, and the other way round."""
    if not text:
        yield _finding("no_document", "The app has no OpenAPI document.")
        return
    try:
        document = _object(parsed(text, characters=_CHARACTERS, depth=_DEPTH))
    except BadJsonError as error:
        yield _finding("document_unreadable", f"The app's OpenAPI document: {error}.")
        return
    served = _operations(document)
    wanted = {_place(one.method, one.path) for one in contract.operations}
    for operation in contract.operations:
        found = served.get(_place(operation.method, operation.path))
        if found is None:
            message = f"There is no {operation.method} {operation.path}."
            yield _finding("operation_missing", message, operation)
        else:
            yield from _compared(document, operation, found)
    for method, path in [place for place in served if place not in wanted][:_MOST_EXTRA]:
        message = f"{method} {quoted(path)} is not in the contract."
        yield _finding("operation_not_in_contract", message)


def _operations(document: Node) -> dict[Place, Node]:
    return {
        _place(method.upper(), path): _object(item.get(method))
        for path, value in _object(document.get("paths")).items()
        for item in [_object(value)]
        for method in _METHODS
        if method in item
    }


def _place(method: str, path: str) -> Place:
    return method, re.sub(r"\{[^}]*\}", "{}", path)


def _compared(document: Node, operation: Operation, found: Node) -> Iterator[Finding]:
    given = found.get("parameters")
    served = {
        (str(one.get("in")), str(one.get("name")).lower()): one
        for one in map(_object, given if isinstance(given, list) else [])
    }
    for parameter in operation.parameters:
        yield from _parameter(operation, parameter, served)
    declared = {(str(one.location), one.name.lower()) for one in operation.parameters}
    for place in sorted(one for one in served.keys() - declared if one[0] != "path"):
        needed = served[place].get("required") is True
        name = f"The {quoted(place[0])[1:-1]} parameter {quoted(place[1])}"
        severity = Severity.ERROR if needed else Severity.WARNING
        yield _finding("parameter_not_in_contract", f"{name} is not in it.", operation, severity)
    yield from _body(operation, found)
    yield from _answer(document, operation, found)


def _parameter(
    operation: Operation, parameter: Parameter, served: dict[Place, Node]
) -> Iterator[Finding]:
    if parameter.location == "path":
        return  # the path has it, whatever its name there
    one = served.get((str(parameter.location), parameter.name.lower()))
    name = f"The {parameter.location} parameter {parameter.name}"
    if one is None:
        yield _finding("parameter_missing", f"{name} is not there.", operation)
    elif one.get("required") is True and not parameter.required:
        yield _finding("parameter_required", f"{name} must be optional.", operation)
    elif parameter.required and one.get("required") is not True:
        yield _finding("parameter_optional", f"{name} must be required.", operation)


def _body(operation: Operation, found: Node) -> Iterator[Finding]:
    body = _object(found.get("requestBody"))
    if operation.body is None and body.get("required") is True:
        yield _finding("body_not_in_contract", "It asks for a body.", operation)
    elif operation.body is not None and not body:
        message = "Its document shows no body; take it as a typed parameter."
        yield _finding("body_not_declared", message, operation, Severity.WARNING)


def _answer(document: Node, operation: Operation, found: Node) -> Iterator[Finding]:
    responses = _object(found.get("responses"))
    told = _object(responses.get(str(operation.status)))
    if str(operation.status) not in responses:
        message = f"Its document does not have the status {operation.status} (status_code=…)."
        yield _finding("status_not_declared", message, operation)
    elif operation.response is not None:
        content = _object(_object(told.get("content")).get(operation.response_type))
        schema = _followed(document, _object(content.get("schema")))
        yield from _schema(operation, operation.response, schema)


def _schema(operation: Operation, wanted: Node, served: Node) -> Iterator[Finding]:
    if not served.keys() - {"title"}:
        message = "Its document shows no schema of the answer; name a response_model."
        yield _finding("response_not_declared", message, operation, Severity.WARNING)
        return
    kinds = (wanted.get("type"), served.get("type"))
    if all(isinstance(kind, str) for kind in kinds) and kinds[0] != kinds[1]:
        message = f"Its answer is declared as {quoted(kinds[1])}, not {quoted(kinds[0])}."
        yield _finding("response_differs", message, operation)
    members = _object(served.get("properties"))
    extra = served.get("additionalProperties")
    for name in _object(wanted.get("properties")) if members and not extra else ():
        if name not in members:
            message = f"The declared answer lacks {quoted(name)}."
            yield _finding("response_differs", message, operation)


def _followed(document: Node, schema: Node) -> Node:
    for _ in range(_HOPS):
        reference = schema.get("$ref")
        if not isinstance(reference, str) or not reference.startswith("#/components/schemas/"):
            return schema
        components = _object(_object(document.get("components")).get("schemas"))
        schema = _object(components.get(reference.rpartition("/")[2]))
    return schema


def _object(value: Any) -> Node:
    return value if isinstance(value, dict) else {}


def _finding(
    rule: str,
    message: str,
    operation: Operation | None = None,
    severity: Severity = Severity.ERROR,
) -> Finding:
    return Finding(Gate.SANDBOX, rule, message, severity, None, operation.id if operation else "")
