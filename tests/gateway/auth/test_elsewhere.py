"""`/auth/v1` where a project keeps the people: handed on with the public key, never more."""

from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.auth.elsewhere import elsewhere

URL = "http://project.example/auth/v1"


async def echo(request: Request) -> Response:
    return JSONResponse(
        {
            "path": request.url.path,
            "query": request.url.query,
            "headers": dict(request.headers),
            "body": (await request.body()).decode(),
        },
        422,
        {"x-supabase-api-version": "2024-01-01", "set-cookie": "theirs=1"},
    )


@pytest.fixture
async def project() -> AsyncIterator[httpx.AsyncClient]:
    app = Starlette(routes=[Route("/{path:path}", echo, methods=["GET", "POST"])])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as http:
        yield http


def client(http: httpx.AsyncClient, key: str | None = "public") -> httpx.AsyncClient:
    app = elsewhere(http, URL, key)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway")


async def test_a_request_is_handed_on_with_the_public_key(project: httpx.AsyncClient) -> None:
    async with client(project) as http:
        answer = await http.post(
            "/token?grant_type=password",
            json={"email": "a"},
            headers={"authorization": "Bearer t", "cookie": "ours=1", "apikey": "anything"},
        )
    seen = answer.json()
    assert (answer.status_code, seen["path"], seen["query"], seen["body"]) == (
        *(422, "/auth/v1/token", "grant_type=password"),
        '{"email":"a"}',
    )
    assert (seen["headers"]["apikey"], seen["headers"]["authorization"]) == ("public", "Bearer t")
    assert "cookie" not in seen["headers"]
    assert answer.headers["x-supabase-api-version"] == "2024-01-01"
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    "path", ["/admin/users", "/admin", "/x/%2e%2e/admin", "/%2fadmin/users", "/user%3fx", "/"]
)
async def test_what_is_not_handed_on(project: httpx.AsyncClient, path: str) -> None:
    async with client(project) as http:
        answer = await http.get(path)
    assert (answer.status_code, answer.json()["code"]) == (404, "signs_in_elsewhere")


async def test_without_a_public_key_it_says_where(project: httpx.AsyncClient) -> None:
    async with client(project, None) as http:
        answer = await http.post("/token")
    assert (answer.status_code, answer.json()["message"]) == (404, f"Sign in at {URL}")


async def test_a_body_without_end_is_refused(project: httpx.AsyncClient) -> None:
    async with client(project) as http:
        answer = await http.post("/signup", content=b"x" * 70_000)
    assert answer.status_code == 413


async def test_a_project_that_is_away() -> None:
    async with httpx.AsyncClient() as nobody:
        app = elsewhere(nobody, "http://127.0.0.1:9", "public")
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://gateway"
        ) as http:
            assert (await http.get("/user")).status_code == 503
