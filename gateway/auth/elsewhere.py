"""`/auth/v1` of an installation whose people are a Supabase project's.

There is no issuer here. With the project's public key a request is handed on to it, so that
`sandgate login` and pages need to know one address only; never with the service key.
"""

import re

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

_METHODS = ["GET", "POST", "PUT", "DELETE"]
_BYTES = 64 * 1024
_TAKEN_ALONG = ("authorization", "content-type", "x-supabase-api-version", "x-client-info")
_BROUGHT_BACK = ("content-type", "x-supabase-api-version", "retry-after")
_PATH = re.compile(r"\.?[A-Za-z0-9_-]+(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*")


def elsewhere(http: httpx.AsyncClient, auth_url: str, public_key: str | None) -> Starlette:
    """An application to mount at `/auth/v1`, or in its place."""

    async def answer(request: Request) -> Response:
        path = request.path_params["path"]
        if public_key is None or not _may_be_handed_on(path):
            return _failure(404, "signs_in_elsewhere", f"Sign in at {auth_url}")
        body = await _body(request)
        if body is None:
            return _failure(413, "request_too_large", "Request body too large")
        headers = {n: request.headers[n] for n in _TAKEN_ALONG if n in request.headers}
        try:
            found = await http.request(
                request.method,
                f"{auth_url}/{path}",
                params=request.query_params,
                content=body,
                headers={**headers, "apikey": public_key},
            )
        except httpx.HTTPError:
            return _failure(503, "auth_unavailable", "The project's Auth does not answer")
        kept = {n: found.headers[n] for n in _BROUGHT_BACK if n in found.headers}
        return Response(found.content, found.status_code, {**kept, "cache-control": "no-store"})

    return Starlette(routes=[Route("/{path:path}", answer, methods=_METHODS)])


async def nothing_here(_: Request) -> Response:
    """The public keys of an issuer that there is not."""
    return _failure(404, "signs_in_elsewhere", "Sign in at the Supabase project")


def _may_be_handed_on(path: str) -> bool:
    """Below `admin` the key would be the service's."""
    return _PATH.fullmatch(path) is not None and path.split("/")[0] != "admin"


async def _body(request: Request) -> bytes | None:
    """None when there is too much of it."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > _BYTES:
            return None
    return bytes(body)


def _failure(status: int, code: str, message: str) -> JSONResponse:
    """In the shape that Supabase's clients read, of whichever version."""
    document = {"code": code, "error_code": code, "message": message, "msg": message}
    return JSONResponse(document, status, headers={"x-supabase-api-version": "2024-01-01"})
