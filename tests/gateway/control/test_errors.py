"""One shape of error, whatever goes wrong."""

import asyncio
import json
from collections.abc import AsyncIterator

import httpx
import pytest
from structlog.testing import capture_logs

from gateway.middleware import CONTROL_BODY_BYTES, BodyCap
from gateway.store.database import DatabaseUnavailableError
from tests.support.control import World
from tests.support.problems import assert_problem


@pytest.mark.parametrize("path", ["/", "/api", "/api/nope", "/api/apis/", "/admin", "/api/docs/x"])
async def test_404_unknown_route(world: World, path: str) -> None:
    async with world.client() as client:
        assert_problem(await client.get(path), 404, "unknown_route")


async def test_405_says_what_is_allowed(world: World) -> None:
    async with world.client() as client:
        answer = await client.put("/api/apis")
    assert_problem(answer, 405, "method_not_allowed")
    assert answer.headers["allow"]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", "malformed_json"),
        (b"", "invalid_input"),
        (b'{"name": "x", "code": }', "malformed_json"),
        (b"\xff\xfe", "malformed_json"),
        (b"\x80{}", "bad_request"),
        (b"[" * 100_000, "bad_request"),
        (b'{"name": ' + b"9" * 5000 + b"}", "bad_request"),
    ],
)
async def test_body_that_is_no_json(world: World, body: bytes, code: str) -> None:
    async with world.client(await world.person()) as client:
        answer = await client.post(
            "/api/apis", content=body, headers={"Content-Type": "application/json"}
        )
    assert_problem(answer, 422 if code == "invalid_input" else 400, code)


async def test_422_body_of_another_kind(world: World) -> None:
    async with world.client(await world.person()) as client:
        answer = await client.post("/api/apis", data={"name": "x"})
    assert_problem(answer, 422, "invalid_input")


async def test_422_names_the_field_and_never_repeats_the_value(world: World) -> None:
    secret = "hunter2-" * 4
    body = {"name": {"value": secret}, "code": 7, "note": secret}
    async with world.client(await world.person()) as client:
        answer = await client.post(
            "/api/apis",
            content=json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
    problem = assert_problem(answer, 422, "invalid_input")
    assert {error["field"] for error in problem["errors"]} >= {"body.name", "body.code"}
    assert secret not in answer.text


async def test_422_lone_surrogate_in_text(world: World) -> None:
    async with world.client(await world.person()) as client:
        answer = await client.post(
            "/api/apis",
            content=b'{"name": "a\\ud800", "code": "x"}',
            headers={"Content-Type": "application/json"},
        )
    assert answer.status_code == 422
    assert_problem(answer, 422, answer.json()["code"])


async def test_413_announced_length_is_refused_unread(world: World) -> None:
    async with world.client(await world.person()) as client:
        answer = await client.post("/api/apis", content=b"x" * (CONTROL_BODY_BYTES + 1))
    assert_problem(answer, 413, "body_too_large")
    assert answer.headers["connection"] == "close"


async def test_413_length_that_was_not_announced(world: World) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 1
            yield b"x" * 1024 * 1024

    async with world.client(await world.person()) as client:
        answer = await client.post("/api/apis", content=endless())
    assert_problem(answer, 413, "body_too_large")
    assert sent <= CONTROL_BODY_BYTES // (1024 * 1024) + 2


async def test_500_tells_nothing_and_logs_all(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object, **__: object) -> None:
        raise RuntimeError("select secret from asyncpg")

    monkeypatch.setattr(world.sandboxes, "status", fail)
    async with world.client(await world.person()) as client:
        with capture_logs() as logs:
            answer = await client.get("/api/stats")
    problem = assert_problem(answer, 500, "internal_error")
    assert "secret" not in answer.text
    assert [log["event"] for log in logs] == ["request_failed"]
    assert problem["request_id"]


async def test_503_database_away(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    person = await world.person()

    async def away(*_: object, **__: object) -> None:
        raise DatabaseUnavailableError

    monkeypatch.setattr(world.database, "select", away)
    async with world.client(person) as client:
        answer = await client.get("/api/apis")
    assert_problem(answer, 503, "database_unavailable")
    assert answer.headers["retry-after"] == "1"


async def test_every_answer_carries_id_time_and_safe_headers(world: World) -> None:
    async with world.client() as client:
        answers = [await client.get("/health"), await client.get("/nope")]
    for answer in answers:
        assert float(answer.headers["x-process-time"]) >= 0
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert answers[0].headers["x-request-id"] != answers[1].headers["x-request-id"]


async def test_request_id_of_the_caller_is_not_taken_over(world: World) -> None:
    async with world.client() as client:
        answer = await client.get("/health", headers={"X-Request-ID": "mine"})
    assert answer.headers["x-request-id"] != "mine"


async def test_408_body_that_never_comes(world: World) -> None:
    capped = BodyCap(world.app.middleware_stack or world.app, seconds=0.01)

    async def nothing() -> AsyncIterator[bytes]:
        await asyncio.Event().wait()
        yield b""

    person = await world.person()
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(capped), base_url="http://test"
    ) as client:
        answer = await client.post(
            "/api/apis", content=nothing(), headers={"Authorization": f"Bearer {person.id}"}
        )
    assert_problem(answer, 408, "request_timeout")
