"""One line for each request to issuer and control plane, with what it was about."""

from collections.abc import Iterator, MutableMapping
from typing import Any

import httpx
import pytest
import structlog
from structlog.testing import capture_logs

from gateway.logs import SUBJECT_IDS
from gateway.request_log import RequestLog
from gateway.store.postgres import PostgresDatabase
from tests.support.control import World
from tests.support.factories import Person, make_api

TRACE = "0af7651916cd43dd8448eb211c80319c"
Lines = list[MutableMapping[str, Any]]


@pytest.fixture
def world(database: PostgresDatabase, dsn: str) -> World:
    return World(database, dsn)


@pytest.fixture
def lines() -> Iterator[Lines]:
    """What is logged, with the ids that are bound by then."""
    with capture_logs(processors=[structlog.contextvars.merge_contextvars]) as captured:
        yield captured


def client(world: World, person: Person | None = None) -> httpx.AsyncClient:
    headers = {} if person is None else {"Authorization": f"Bearer {person.id}"}
    transport = httpx.ASGITransport(RequestLog(world.app), raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://gateway", headers=headers)


async def test_a_line_names_request_trace_user_tenant_and_api(world: World, lines: Lines) -> None:
    person = await world.person()
    api = await make_api(world.database, person.tenant_id)
    async with client(world, person) as http:
        headers = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
        answer = await http.get(f"/api/apis/{api.id}?token=mine", headers=headers)
    (line,) = lines
    assert line.pop("seconds") >= 0
    assert line == {
        "event": "request_answered", "log_level": "info", "method": "GET", "status": 200,
        "path": f"/api/apis/{api.id}", "request_id": answer.headers["x-request-id"],
        "trace_id": TRACE, "user_id": person.id, "tenant_id": person.tenant_id, "api_id": api.id,
    }  # fmt: skip


async def test_the_trace_is_the_request_where_there_is_none(world: World, lines: Lines) -> None:
    async with client(world) as http:
        await http.get("/api/apis")
    assert lines[0]["trace_id"] == lines[0]["request_id"]
    assert lines[0]["status"] == 401


async def test_nothing_is_left_for_the_next_request(world: World, lines: Lines) -> None:
    person = await world.person()
    async with client(world, person) as http:
        await http.get("/api/apis")
    async with client(world) as http:
        await http.get("/api/nowhere")
    assert set(SUBJECT_IDS) & set(lines[1]) == set()
    assert structlog.contextvars.get_contextvars() == {}


async def test_a_bug_has_the_ids_of_its_request(
    world: World, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object, **__: object) -> None:
        raise RuntimeError("a bug")

    person = await world.person()
    monkeypatch.setattr(world.sandboxes, "status", fail)
    async with client(world, person) as http:
        answer = await http.get("/api/stats")
    failed, answered = lines
    assert (failed["event"], failed["user_id"]) == ("request_failed", person.id)
    assert failed["request_id"] == answered["request_id"] == answer.json()["request_id"]
    assert answered["status"] == 500


@pytest.mark.parametrize("path", ["/health", "/ready", "/metrics"])
async def test_who_watches_leaves_no_line(world: World, lines: Lines, path: str) -> None:
    async with client(world) as http:
        await http.get(path)
    assert lines == []


async def test_a_long_path_is_cut_off(world: World, lines: Lines) -> None:
    async with client(world) as http:
        await http.get(f"/api/{'x' * 10_000}")
    assert len(lines[0]["path"]) == 200


async def test_an_answer_that_has_no_id_gets_one(lines: Lines) -> None:
    """The issuer's answers have the shape that its clients know; the id is in a header."""

    async def issuer(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    transport = httpx.ASGITransport(RequestLog(issuer))
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as http:
        answer = await http.get("/auth/v1/user")
    assert answer.headers["x-request-id"] == lines[0]["request_id"]
