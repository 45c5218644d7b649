"""The order of checks, their codes, and what an answer carries."""

import asyncio
from dataclasses import replace

import pytest

from gateway.auth.keys import generate_key
from gateway.store.database import DatabaseUnavailableError
from gateway.store.routes import ActiveVersion
from sandbox.types import (
    CapacityError,
    ManagerUnavailableError,
    SandboxError,
    StartFailedError,
    StartFailure,
)
from tests.support.datapath import DataPath
from tests.support.rawhttp import ok, read_request, replies


async def test_a_call_is_answered_recorded_and_counted(path: DataPath) -> None:
    """200 with the app's body, one record, and the limit's headers."""
    route, key = path.serve(replies(ok(b"hello", b"content-type: text/plain")))
    answer = await path.call(f"/{route.api_id}/greet?a=1", key)
    assert (answer.status, answer.body, answer.is_whole) == (200, b"hello", True)
    assert answer.header(b"content-type") == b"text/plain"
    assert answer.header(b"x-ratelimit-remaining") == str(10**6 - 1).encode()
    request_id = answer.header(b"x-request-id")
    assert request_id is not None
    assert len(request_id) == 32
    seconds = answer.header(b"x-process-time")
    assert seconds is not None
    assert len(seconds.partition(b".")[2]) == 6
    (record,) = path.records()
    assert record["request_id"] == request_id.decode()
    assert (record["path"], record["method"], record["status_code"]) == ("/greet", "GET", 200)
    assert (record["version"], record["error_code"]) == (1, None)
    assert (record["api_id"], record["tenant_id"]) == (route.api_id, route.tenant_id)
    assert record["response_size_bytes"] == 5
    assert record["limits"] == [[f"tenant:{record['caller_tenant_id']}", "hour"]]
    assert path.observed == [(200, None)]


async def test_the_slug_and_a_pinned_version_work_too(path: DataPath) -> None:
    """`/slug` and `/slug@1` reach the same version."""
    route, key = path.serve(replies(ok(), ok(), ok()), slug="cats")
    for reference in (route.api_id.upper(), "cats", "cats@1"):
        assert (await path.call(f"/{reference}", key)).status == 200
    assert len(path.sandboxes.started) == 1


@pytest.mark.parametrize(
    ("reference", "code"),
    [
        ("nobody", "api_not_found"),
        ("00000000-0000-4000-8000-000000000000", "api_not_found"),
        ("%63ats", "api_not_found"),
        ("Cats", "api_not_found"),
        ("cats@0", "api_not_found"),
        ("cats@2", "version_not_found"),
        ("../cats", "api_not_found"),
    ],
)
async def test_an_unknown_address_is_404(path: DataPath, reference: str, code: str) -> None:
    """The first segment must be an id or slug, written literally."""
    _, key = path.serve(replies(ok()), slug="cats")
    answer = await path.call(f"/{reference}", key)
    assert (answer.status, answer.json()["code"]) == (404, code)
    assert answer.header(b"content-type") == b"application/problem+json"
    assert path.records() == []


async def test_without_a_key_the_answer_is_401(path: DataPath) -> None:
    """And says how to send one."""
    route, _ = path.serve(replies(ok()))
    answer = await path.call(f"/{route.api_id}")
    assert (answer.status, answer.json()["code"]) == (401, "key_missing")
    assert answer.header(b"www-authenticate") is not None
    assert path.records() == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X-API-Key", "junk"),
        ("Authorization", "Bearer junk"),
        ("X-API-Key", "sg_live_" + "a" * 38),
        ("Authorization", "Bearer eyJhbGciOiJFUzI1NiJ9.e30.x"),
        ("X-API-Key", "sg_live_\xe9"),
    ],
)
async def test_a_junk_key_is_401_without_a_look_up(path: DataPath, name: str, value: str) -> None:
    """Its shape or checksum says enough."""
    route, _ = path.serve(replies(ok()))
    answer = await path.call(f"/{route.api_id}", headers=[(name, value)])
    assert (answer.status, answer.json()["code"]) == (401, "key_malformed")
    assert all(what != "key" for what, _ in path.store.reads)


async def test_a_key_of_nobody_is_401(path: DataPath) -> None:
    """Well formed is not enough."""
    route, _ = path.serve(replies(ok()))
    answer = await path.call(f"/{route.api_id}", generate_key())
    assert (answer.status, answer.json()["code"]) == (401, "key_unknown")


async def test_basic_sign_in_is_not_a_key(path: DataPath) -> None:
    """Authorization counts only as Bearer."""
    route, _ = path.serve(replies(ok()))
    answer = await path.call(f"/{route.api_id}", headers=[("Authorization", "Basic eDp5")])
    assert (answer.status, answer.json()["code"]) == (401, "key_missing")


async def test_another_apis_key_is_403_and_tells_nothing_of_its_status(path: DataPath) -> None:
    """Whoever has no key for an API does not learn that it is paused."""
    route, _ = path.serve(replies(ok()), status="paused")
    _, key = path.serve(replies(ok()))
    answer = await path.call(f"/{route.api_id}", key)
    assert (answer.status, answer.json()["code"]) == (403, "key_not_for_api")
    assert path.records() == []


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"status": "paused"}, 503, "api_paused"),
        ({"status": "suspended"}, 403, "api_suspended"),
        ({"tenant_status": "suspended"}, 403, "api_suspended"),
        ({"status": "draft"}, 503, "api_not_ready"),
        ({"status": "building"}, 503, "api_not_ready"),
        ({"status": "failed"}, 502, "api_start_failed"),
        ({"versions": ()}, 503, "api_not_ready"),
    ],
)
async def test_an_api_that_is_not_active_does_not_answer(
    path: DataPath, changes: dict[str, str], status: int, code: str
) -> None:
    """Each state has its code; 503 says when to come again. Nothing is counted."""
    route, key = path.serve(replies(ok()), **changes)
    answer = await path.call(f"/{route.api_id}", key)
    assert (answer.status, answer.json()["code"]) == (status, code)
    assert (answer.header(b"retry-after") is not None) == (status == 503)
    assert answer.header(b"x-ratelimit-limit") is None
    assert path.records() == []


async def test_past_the_limit_the_answer_is_429(path: DataPath) -> None:
    """With the type of the standard, the limits' headers and Retry-After."""
    route, _ = path.serve(replies(ok(), ok(), ok()))
    key = path.store.add_key(route, plan_limits={"hour": 2})
    assert [(await path.call(f"/{route.api_id}", key)).status for _ in range(2)] == [200, 200]
    answer = await path.call(f"/{route.api_id}", key)
    problem = answer.json()
    assert (answer.status, problem["code"]) == (429, "rate_limited")
    assert problem["type"] == "https://iana.org/assignments/http-problem-types#quota-exceeded"
    assert problem["violated-policies"] == ["tenant-hour"]
    assert int(answer.header(b"retry-after") or 0) > 0
    assert answer.header(b"x-ratelimit-remaining") == b"0"
    assert len(path.records()) == 2


async def test_parallel_calls_never_exceed_the_limit(path: DataPath) -> None:
    """300 at once against 50."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await read_request(reader)
            writer.write(ok())

    route, _ = path.serve(handle)
    key = path.store.add_key(route, plan_limits={"hour": 50})
    answers = await asyncio.gather(*(path.call(f"/{route.api_id}", key) for _ in range(300)))
    assert sorted(answer.status for answer in answers) == [200] * 50 + [429] * 250
    assert len(path.records()) == 50


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (
            StartFailedError(StartFailure.SYNTAX, "invalid syntax", traceback="secret frames"),
            502,
            "api_start_failed",
        ),
        (CapacityError("full"), 503, "no_capacity"),
        (ManagerUnavailableError("down"), 503, "sandboxes_unavailable"),
    ],
)
async def test_a_sandbox_that_cannot_be_had_has_a_code(
    path: DataPath, error: SandboxError, status: int, code: str
) -> None:
    """The API's fault is 502, the gateway's 503 with Retry-After; both are recorded."""
    route, key = path.serve(replies(ok()))
    path.sandboxes.fails = error
    answer = await path.call(f"/{route.api_id}", key)
    assert (answer.status, answer.json()["code"]) == (status, code)
    assert (answer.header(b"retry-after") is not None) == (status == 503)
    assert b"frames" not in answer.body
    assert answer.header(b"x-ratelimit-limit") is not None
    (record,) = path.records()
    assert (record["status_code"], record["error_code"]) == (status, code)


async def test_a_bug_is_500_without_its_text(
    path: DataPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Internals go to the log."""
    route, key = path.serve(replies(ok()))

    async def broken(_limits: object) -> object:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(path.limiter, "admit", broken)
    answer = await path.call(f"/{route.api_id}", key)
    assert (answer.status, answer.json()["code"]) == (500, "internal_error")
    assert b"secret" not in answer.body


async def test_known_routes_and_keys_answer_while_the_database_is_down(path: DataPath) -> None:
    """Also after news were missed."""
    route, key = path.serve(replies(ok(), ok()))
    assert (await path.call(f"/{route.api_id}", key)).status == 200
    path.store.down = DatabaseUnavailableError("down")
    path.news.publish("all", "")
    assert (await path.call(f"/{route.api_id}", key)).status == 200
    answer = await path.call("/unseen", key)
    assert (answer.status, answer.json()["code"]) == (503, "unavailable")


async def test_a_paused_api_stops_at_once(path: DataPath) -> None:
    """The news replace what is remembered."""
    route, key = path.serve(replies(ok(), ok()), slug="cats")
    assert (await path.call("/cats", key)).status == 200
    path.store.routes[route.api_id] = replace(route, status="paused")
    path.news.publish("api", route.api_id)
    assert (await path.call("/cats", key)).json()["code"] == "api_paused"
    assert (await path.call(f"/{route.api_id}", key)).json()["code"] == "api_paused"


async def test_two_active_versions_share_the_calls(path: DataPath) -> None:
    """By weight; a pin overrides it."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await read_request(reader)
            writer.write(ok())

    versions = (ActiveVersion("v-one", 1, 50), ActiveVersion("v-two", 2, 50))
    route, key = path.serve(handle, versions=versions)
    for _ in range(40):
        await path.call(f"/{route.api_id}", key)
    assert {record["version"] for record in path.records()} == {1, 2}
    await path.call(f"/{route.api_id}@2", key)
    assert path.records()[-1]["version"] == 2
