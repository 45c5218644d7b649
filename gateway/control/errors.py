"""Every failure of the control plane leaves as one shape, whoever raised it."""

from collections.abc import Sequence
from typing import Any

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from gateway.errors import BadRequestError, InvalidInputError, SandgateError
from gateway.middleware import request_id_of
from gateway.problems import render

_log = structlog.get_logger(__name__)
_NAMES = {
    400: ("bad_request", "Bad request"),
    404: ("unknown_route", "Nothing is here"),
    405: ("method_not_allowed", "Method not allowed"),
    408: ("request_timeout", "Request too slow"),
    413: ("body_too_large", "Body too large"),
}
_ERRORS_MAX = 20


class MalformedJsonError(BadRequestError):
    """The body is not JSON."""

    code, title = "malformed_json", "Malformed JSON"


class HttpError(SandgateError):
    """What the framework itself refuses."""

    def __init__(self, error: HTTPException) -> None:
        self.code, self.title = _NAMES.get(error.status_code, ("http_error", "Request refused"))
        super().__init__(
            error.detail if error.status_code not in (404, 405) else "", headers=error.headers
        )
        self.status = error.status_code


def install(app: FastAPI) -> None:
    """Register the handlers."""
    app.add_exception_handler(SandgateError, _expected)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)


async def _expected(request: Request, error: Exception) -> Response:
    if not isinstance(error, SandgateError):
        raise error
    if error.status >= 500:
        _log.error("request_failed", code=error.code, exc_info=error)
    return _answer(request, error)


async def _invalid(request: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        raise error
    mistakes = error.errors()
    if any(mistake["type"] == "json_invalid" for mistake in mistakes):
        return _answer(request, MalformedJsonError())
    return _answer(request, InvalidInputError(extra={"errors": _mistakes(mistakes)}))


async def _http(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    return _answer(request, HttpError(error))


def _answer(request: Request, error: SandgateError) -> Response:
    status, headers, body = render(error, request_id_of(request.scope))
    response = Response(body, status)
    response.raw_headers = headers
    if status == 401 and "www-authenticate" not in response.headers:
        response.headers["www-authenticate"] = "Bearer"
    return response


def _mistakes(errors: Sequence[Any]) -> list[dict[str, str]]:
    """Where and what, never the value that was sent. `Any`: pydantic's own dictionaries."""
    return [
        {"field": ".".join(str(part) for part in error["loc"])[:200], "detail": error["msg"]}
        for error in errors[:_ERRORS_MAX]
    ]
