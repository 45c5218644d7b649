"""An unmodified FastAPI app, behind the runner's middleware and the gateway."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from fastapi import FastAPI, Request, Response
from fastapi.responses import StreamingResponse

from sandbox.runner.calls import Calls
from sandbox.runner.context import Context
from sandbox.runner.page import new_page
from tests.support.datapath import DataPath, Sandboxes, running

METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]


def make_app() -> FastAPI:
    """What a creator might have written."""
    app = FastAPI()

    @app.api_route("/echo/{rest:path}", methods=METHODS, include_in_schema=False)
    async def echo(rest: str, request: Request) -> dict[str, Any]:
        assert request.client is not None
        return {
            "rest": rest,
            "method": request.method,
            "query": request.url.query,
            "client": request.client.host,
            "root_path": request.scope["root_path"],
            "url": str(request.url),
            "names": [name.decode() for name, _ in request.headers.raw],
            "body": (await request.body()).decode(),
            "request_id": request.scope["extensions"]["sandgate"]["request_id"],
        }

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        async def pieces() -> AsyncIterator[bytes]:
            for _ in range(50):
                yield b"x" * 1_000_000

        return StreamingResponse(pieces())

    @app.post("/count")
    async def count(request: Request) -> int:
        return sum([len(piece) async for piece in request.stream()])

    @app.get("/empty", status_code=204)
    async def empty() -> None:
        """Nothing."""

    @app.get("/same")
    async def same() -> Response:
        return Response(status_code=304, headers={"etag": '"1"'})

    @app.get("/crash")
    async def crash() -> None:
        raise RuntimeError("mine")

    return app


@asynccontextmanager
async def deployed(path: DataPath) -> AsyncIterator[tuple[str, str]]:
    """The app on a socket of its own; yields its address and a key."""
    route = path.store.add_api(slug="shop")
    key = path.store.add_key(route)
    listener = socket.socket(socket.AF_UNIX)
    sandboxes: Sandboxes = path.sandboxes
    where = sandboxes.folder / "real.sock"
    listener.bind(str(where))
    sandboxes.adopt(route.versions[0].version_id, str(where))
    async with running(Context(make_app(), Calls(new_page(), lambda: None)), listener):
        yield "/shop", key
        await path.leases.close()


@pytest.mark.parametrize("method", METHODS)
async def test_the_app_sees_the_call_as_if_it_were_alone(path: DataPath, method: str) -> None:
    """Path, query, address, root path and request id; none but the trace's that was not sent."""
    async with deployed(path) as (address, key):
        body = b"" if method == "GET" else b"text"
        answer = await path.call(f"{address}/echo/a%20b?q=1&q=2", key, method=method, body=body)
    seen = answer.json()
    assert (seen["rest"], seen["query"], seen["method"]) == ("a b", "q=1&q=2", method)
    assert (seen["client"], seen["root_path"]) == ("127.0.0.1", "/shop")
    assert seen["url"] == "http://gateway.test/shop/echo/a b?q=1&q=2"  # as Starlette spells it
    assert seen["names"] == ["traceparent", "host", *(["content-length"] if body else [])]
    assert seen["body"] == body.decode()
    assert seen["request_id"].encode() == answer.header(b"x-request-id")


async def test_head_options_204_304_404_422_and_500_are_the_apps_own(path: DataPath) -> None:
    """Whatever it answers is passed on; a crash of a handler is its 500, not the gateway's."""
    async with deployed(path) as (address, key):
        expected = [
            ("HEAD", "/echo/x", 405),
            ("OPTIONS", "/echo/x", 405),
            ("GET", "/empty", 204),
            ("GET", "/same", 304),
            ("GET", "/missing", 404),
            ("GET", "/crash", 500),
            ("GET", "/openapi.json", 200),
            ("GET", "", 404),
        ]
        for method, where, status in expected:
            answer = await path.call(f"{address}{where}", key, method=method)
            assert (answer.status, answer.is_whole) == (status, True), (method, where)
    assert {record["error_code"] for record in path.records()} == {None}


async def test_a_5_mb_upload_and_a_50_mb_answer_pass(path: DataPath) -> None:
    """Streamed both ways."""
    async with deployed(path) as (address, key):
        answer = await path.call(f"{address}/count", key, method="POST", body=b"u" * 5_000_000)
        assert answer.json() == 5_000_000
        answer = await path.call(f"{address}/stream", key)
        assert (len(answer.body), answer.is_whole) == (50_000_000, True)


async def test_many_calls_at_once_get_their_own_answers(path: DataPath) -> None:
    """Nobody gets somebody else's."""
    async with deployed(path) as (address, key):
        answers = await asyncio.gather(*(path.call(f"{address}/echo/{n}", key) for n in range(300)))
    assert [answer.json()["rest"] for answer in answers] == [str(n) for n in range(300)]
