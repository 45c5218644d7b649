"""Answers of the issuer: JSON that is never cached, errors in Supabase's two shapes."""

from collections.abc import Mapping
from datetime import date
from typing import Any

import structlog
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from gateway.auth.issuer.errors import AuthError
from gateway.errors import SandgateError

VERSION_HEADER = "x-supabase-api-version"
VERSION = "2024-01-01"
_log = structlog.get_logger(__name__)
_NO_STORE = {"cache-control": "no-store"}


def answer(document: Mapping[str, Any], status: int = 200) -> JSONResponse:
    """JSON about a person: nobody keeps a copy."""
    return JSONResponse(document, status, headers=_NO_STORE)


def render_error(request: Request, error: SandgateError) -> JSONResponse:
    """The shape depends on the API version that the client asks for."""
    code = error.code if isinstance(error, AuthError) else "unexpected_failure"
    headers = {**_NO_STORE, **error.headers}
    extra = dict(error.extra) if isinstance(error, AuthError) else {}
    if _is_versioned(request.headers.get(VERSION_HEADER, "")):
        headers[VERSION_HEADER] = VERSION
        document = {"code": code, "message": error.detail, **extra}
    else:
        document = {"code": error.status, "error_code": code, "msg": error.detail, **extra}
    return JSONResponse(document, error.status, headers=headers)


async def on_expected(request: Request, error: Exception) -> Response:
    """Starlette handler for every failure of ours."""
    if not isinstance(error, SandgateError):
        raise error
    if error.status >= 500:
        _log.error("request_failed", code=error.code, exc_info=error)
    return render_error(request, error)


async def on_http(request: Request, error: Exception) -> Response:
    """Starlette handler for unknown paths and methods."""
    if not isinstance(error, HTTPException):
        raise error
    failure = AuthError(error.detail, headers=error.headers)
    failure.status, failure.code = error.status_code, "not_found"
    if error.status_code == 405:
        failure.code = "method_not_allowed"
    return render_error(request, failure)


async def on_unexpected(request: Request, _: Exception) -> Response:
    """Starlette handler for bugs: nothing of the inside is told; Starlette raises it on."""
    return render_error(request, SandgateError("Unexpected failure, please check server logs"))


def _is_versioned(header: str) -> bool:
    try:
        return date.fromisoformat(header.strip()) >= date.fromisoformat(VERSION)
    except ValueError:
        return False
