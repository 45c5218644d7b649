"""The OpenAPI document: every route says how it fails and what opens it."""

from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from gateway.problems import MEDIA_TYPE

PROBLEM_RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    status: {
        "description": description,
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    for status, description in {
        "4XX": "The request was refused; `code` says why",
        "5XX": "Something of ours failed; `code` says what",
        "422": "Values are not acceptable; `errors` or `failure` say which",
    }.items()
}

_PROBLEM: Final = {
    "type": "object",
    "title": "Problem",
    "description": "RFC 9457; `code` is stable, further members depend on it",
    "required": ["type", "title", "status", "detail", "code", "request_id"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string"},
        "request_id": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"field": {"type": "string"}, "detail": {"type": "string"}},
            },
        },
        "failure": {
            "type": "object",
            "description": "Why code did not start",
            "properties": {
                "kind": {"type": "string"},
                "file": {"type": "string"},
                "line": {"type": ["integer", "null"]},
                "reason": {"type": "string"},
                "traceback": {"type": "string"},
                "log": {"type": "string"},
            },
        },
    },
}
_OPEN_PATHS: Final = frozenset({"/health", "/ready"})


def document(app: FastAPI) -> dict[str, Any]:
    """The document of this application. `Any`: JSON that only tools read."""
    if app.openapi_schema is None:
        made = get_openapi(
            title=app.title, version=app.version, description=app.description, routes=app.routes
        )
        components = made.setdefault("components", {})
        components.setdefault("schemas", {})["Problem"] = _PROBLEM
        components["securitySchemes"] = {
            "session": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT or admin key"},
            "admin_key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
        }
        made["security"] = [{"session": []}, {"admin_key": []}]
        for path in _OPEN_PATHS & made["paths"].keys():
            for operation in made["paths"][path].values():
                operation["security"] = []
        app.openapi_schema = made
    return app.openapi_schema
