"""Contracts for tests of what looks at contracts and candidates, and code that keeps them."""

import json
from typing import Any

from generator.contract import Contract
from generator.draft import ContractDraft, contract_of

NOTE = {
    "type": "object",
    "properties": {
        "id": {"type": "string"},
        "text": {"type": "string"},
        "size": {"type": "integer"},
    },
    "required": ["id", "text", "size"],
}
HEYHEY = {"said": "HEYHEY"}
NEW_NOTE = {
    "type": "object",
    "properties": {"text": {"type": "string", "minLength": 1, "maxLength": 200}},
    "required": ["text"],
}


def pairs(values: dict[str, str]) -> list[dict[str, str]]:
    """A mapping as drafts have it."""
    return [{"name": name, "value": value} for name, value in values.items()]


def example(name: str, path: str, status: int = 200, **more: Any) -> dict[str, Any]:
    """An example of a draft."""
    body, response = more.pop("body", None), more.pop("response", None)
    return {
        "name": name,
        "path": path,
        "query": pairs(more.pop("query", {})),
        "headers": pairs(more.pop("headers", {})),
        "body_text": "" if body is None else json.dumps(body),
        "status": status,
        "response_text": "" if response is None else json.dumps(response),
        "content_type": more.pop("content_type", ""),
        "keep": pairs(more.pop("keep", {})),
        "needs_network": more.pop("needs_network", False),
    }


def parameter(name: str, location: str, schema: Any, required: bool = False) -> dict[str, Any]:
    """A parameter of a draft."""
    return {
        "name": name,
        "location": location,
        "schema_text": json.dumps(schema),
        "required": required,
        "description": "",
    }


def operation(
    identifier: str, method: str, path: str, *examples: dict[str, Any], **more: Any
) -> dict[str, Any]:
    """An operation of a draft."""
    body, response = more.pop("body", None), more.pop("response", None)
    return {
        "id": identifier,
        "method": method,
        "path": path,
        "summary": identifier.replace("_", " "),
        "parameters": more.pop("parameters", []),
        "body_schema_text": "" if body is None else json.dumps(body),
        "body_type": more.pop("body_type", "application/json"),
        "status": more.pop("status", 200),
        "response_schema_text": "" if response is None else json.dumps(response),
        "response_type": more.pop("response_type", "application/json"),
        "errors": more.pop("errors", []),
        "examples": list(examples),
    }


def whole(*operations: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A draft as plain values."""
    return {
        "title": "Notes",
        "summary": "Keeps short notes.",
        "operations": list(operations),
        "storage": "none",
        "outbound_hosts": [],
        "dependencies": [],
        "assumptions": [],
    } | more


def notes() -> dict[str, Any]:
    """Notes that are stored and read again, and a text operation."""
    return whole(
        operation(
            "add_note",
            "POST",
            "/notes",
            example(
                "adds",
                "/notes",
                201,
                body={"text": "milk"},
                response={"text": "milk", "size": 4},
                keep={"note": "/id"},
            ),
            example("refuses an empty one", "/notes", 422, body={"text": ""}),
            body=NEW_NOTE,
            response=NOTE,
            status=201,
        ),
        operation(
            "read_note",
            "GET",
            "/notes/{note_id}",
            example("reads", "/notes/{note}", response={"id": "{note}", "text": "milk"}),
            example("has no such note", "/notes/none", 404),
            parameters=[parameter("note_id", "path", {"type": "string"}, True)],
            response=NOTE,
            errors=[{"status": 404, "when": "there is no such note"}],
        ),
        operation(
            "shout",
            "GET",
            "/shout",
            example("shouts", "/shout", query={"text": "hey", "times": "2"}, response=HEYHEY),
            example("shouts once", "/shout", query={"text": "you"}, response={"said": "YOU"}),
            parameters=[
                parameter("text", "query", {"type": "string", "maxLength": 100}, True),
                parameter("times", "query", {"type": "integer", "minimum": 1, "maximum": 10}),
            ],
            response={
                "type": "object",
                "properties": {"said": {"type": "string"}},
                "required": ["said"],
            },
        ),
        storage="kv",
    )


def draft(value: dict[str, Any]) -> ContractDraft:
    """The draft of plain values."""
    return ContractDraft.model_validate(value)


def contract(value: dict[str, Any] | None = None) -> Contract:
    """The contract of a draft that is known to be good."""
    return contract_of(draft(value or notes()))
