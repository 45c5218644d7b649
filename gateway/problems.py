"""RFC 9457 problem documents: the only error shape that leaves the gateway."""

import json
from collections.abc import Mapping
from typing import Any

from gateway.errors import SandgateError

MEDIA_TYPE = "application/problem+json"
_DOCS = "about:blank"


def problem(
    *,
    status: int,
    code: str,
    title: str,
    detail: str,
    request_id: str,
    extra: Mapping[str, object] | None = None,
) -> dict[str, Any]:
    """The document as a dictionary; `extra` members never replace the standard ones."""
    document: dict[str, Any] = dict(extra or {})
    document.setdefault("type", _DOCS)
    document.update(status=status, code=code, title=title, detail=detail, request_id=request_id)
    return document


def render(error: SandgateError, request_id: str) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """Status, headers and body of the answer for an expected failure."""
    document = problem(
        status=error.status,
        code=error.code,
        title=error.title,
        detail=error.detail,
        request_id=request_id,
        extra=error.extra,
    )
    body = json.dumps(document, ensure_ascii=False).encode("utf-8", "replace")
    headers = [
        (b"content-type", MEDIA_TYPE.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"x-request-id", request_id.encode()),
    ]
    headers += [
        (name.lower().encode(), value.encode("latin-1")) for name, value in error.headers.items()
    ]
    return error.status, headers, body
