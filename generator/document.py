"""The OpenAPI document of a contract: what callers read and what generated calls follow. Pure.

It holds no reference, so that whoever reads it follows none.
"""

from collections.abc import Iterator
from typing import Any

from generator import schemas
from generator.contract import Contract, Operation, Parameter, Schema
from generator.example_faults import PLATFORM_STATUSES
from generator.examples import is_json, placeholders

Document = dict[str, Any]  # `Any`: JSON
_PLATFORM = {
    400: "The request cannot be read.",
    404: "There is nothing here.",
    413: "The body is too large.",
    415: "The body is of another media type.",
    422: "A parameter or the body does not hold to its schema.",
}
_PROBLEM: Schema = {"type": "object"}


def document_of(contract: Contract) -> Document:
    """OpenAPI 3.1 in a stable order; the same contract always gives the same document."""
    paths: dict[str, dict[str, Any]] = {}
    for operation in contract.operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {"title": contract.title, "summary": contract.summary, "version": "1"},
        "paths": paths,
    }


def declared_statuses(operation: Operation) -> frozenset[int]:
    """All that it may answer: its own, its errors', and what the platform's template answers."""
    return frozenset(
        {operation.status, *(error.status for error in operation.errors), *_by_platform(operation)}
    )


def _by_platform(operation: Operation) -> Iterator[int]:
    if operation.body is not None:
        yield from sorted(PLATFORM_STATUSES - {404, 405})
    elif operation.parameters:
        yield 422
    if "{" in operation.path:
        yield 404


def _operation(operation: Operation) -> dict[str, Any]:
    made: dict[str, Any] = {
        "operationId": operation.id,
        "summary": operation.summary,
        "responses": dict(_responses(operation)),
    }
    if operation.parameters:
        made["parameters"] = [_parameter(one) for one in operation.parameters]
    if operation.body is not None:
        content = {"schema": schemas.inlined(operation.body)} | _body_example(operation)
        made["requestBody"] = {"required": True, "content": {operation.body_type: content}}
    return made


def _parameter(parameter: Parameter) -> dict[str, Any]:
    made: dict[str, Any] = {
        "name": parameter.name,
        "in": str(parameter.location),
        "required": parameter.required,
        "schema": schemas.inlined(parameter.schema_),
    }
    return made | ({"description": parameter.description} if parameter.description else {})


def _body_example(operation: Operation) -> dict[str, Any]:
    for example in operation.examples:
        good = example.status == operation.status and is_json(operation.body_type)
        if good and example.body is not None and not placeholders(example.body):
            return {"example": example.body}
    return {}


def _responses(operation: Operation) -> Iterator[tuple[str, Any]]:
    yield str(operation.status), _success(operation)
    texts = {status: _PLATFORM[status] for status in _by_platform(operation)}
    for error in operation.errors:
        texts[error.status] = error.when or "An error."
    texts.pop(operation.status, None)
    for status in sorted(texts):
        content = {"application/problem+json": {"schema": _PROBLEM}}
        yield str(status), {"description": texts[status], "content": content}


def _success(operation: Operation) -> dict[str, Any]:
    made: dict[str, Any] = {"description": operation.summary}
    if operation.response is not None:
        schema = schemas.inlined(operation.response)
        made["content"] = {operation.response_type: {"schema": schema}}
    elif (
        operation.status != 204 and operation.response_type and not is_json(operation.response_type)
    ):
        made["content"] = {operation.response_type: {}}
    return made
