"""A reference page of the control API, without scripts and without anything from elsewhere."""

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from fastapi import APIRouter, Request, Response

router = APIRouter(include_in_schema=False)

_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "code,pre{font:13px/1.45 ui-monospace,monospace}"
    "section{border-top:1px solid #ccc;padding:.6rem 0}"
    "h2{font-size:1rem;margin:0}b{display:inline-block;min-width:4.5rem}"
    "table{border-collapse:collapse}td{padding:.1rem .8rem .1rem 0;vertical-align:top}"
)
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"


@router.get("/api/docs")
async def reference(request: Request) -> Response:
    """All routes on one page."""
    page = render(request.app.openapi())
    headers = {"content-security-policy": _POLICY}
    return Response(page, media_type="text/html; charset=utf-8", headers=headers)


def render(document: Mapping[str, Any]) -> str:
    """The page of an OpenAPI document. `Any`: JSON."""
    title = escape(document["info"]["title"])
    sections = "".join(_sections(document))
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        f"<style>{_STYLE}</style><h1>{title}</h1>"
        '<p>Machine readable: <a href="/api/openapi.json">/api/openapi.json</a>. '
        "Every error is an <code>application/problem+json</code> document with a stable "
        f"<code>code</code>.</p>{sections}</html>"
    )


def _sections(document: Mapping[str, Any]) -> Iterator[str]:
    schemas = document["components"]["schemas"]
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            yield (
                f"<section><h2><b>{escape(method.upper())}</b> <code>{escape(path)}</code></h2>"
                f"<p>{escape(operation.get('description', ''))}</p>"
                f"<table>{''.join(_rows(operation, schemas))}</table></section>"
            )


def _rows(operation: Mapping[str, Any], schemas: Mapping[str, Any]) -> Iterator[str]:
    for parameter in operation.get("parameters", ()):
        yield _row(parameter["name"], f"{parameter['in']} parameter", parameter.get("required"))
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    reference_ = body.get("schema", {}).get("$ref", "").rpartition("/")[2]
    schema = schemas.get(reference_, {})
    for name in schema.get("properties", {}):
        yield _row(name, "body member", name in schema.get("required", ()))


def _row(name: str, kind: str, required: object) -> str:
    need = "required" if required else "optional"
    return f"<tr><td><code>{escape(name)}</code></td><td>{kind}</td><td>{need}</td></tr>"
