"""Sums over stored calls."""

import time
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from gateway.store.database import SERVICE, Database
from tests.support.factories import MadeApi, make_api, make_user, usage_call


@pytest.fixture
async def api(database: Database, dsn: str) -> MadeApi:
    return await make_api(database, (await make_user(dsn)).tenant_id, name="weather")


async def analytics(database: Database, api_id: str, since: float) -> Any:
    moment = datetime.fromtimestamp(since, UTC).isoformat()
    arguments = {"p_api_id": api_id, "p_since": moment}
    return await database.rpc("api_analytics", arguments, identity=SERVICE)


async def record(database: Database, calls: list[dict[str, Any]]) -> None:
    await database.rpc("record_usage", {"p_calls": calls}, identity=SERVICE)


async def test_sums(database: Database, api: MadeApi) -> None:
    now = time.time()
    calls = [usage_call(api, now - 60, response_time_us=1000 * ms) for ms in range(1, 101)]
    calls.append(usage_call(api, now - 60, status_code=502, path="/broken", version=2))
    calls.append(usage_call(api, now - 60, status_code=404, path="/nothing"))
    calls.append(usage_call(api, now - 3 * 86400))
    await record(database, calls)
    found = await analytics(database, api.id, now - 86400)
    assert (found["calls"], found["errors"], found["client_errors"]) == (102, 1, 1)
    assert (found["request_bytes"], found["response_bytes"]) == (1020, 2040)
    assert found["p50_ms"] == pytest.approx(50, abs=2)
    assert found["p95_ms"] == pytest.approx(95, abs=2)
    assert sum(day["calls"] for day in found["by_day"]) == 102
    assert [(v["version"], v["calls"], v["errors"]) for v in found["by_version"]] == [
        (1, 101, 0),
        (2, 1, 1),
    ]
    assert [(k["key_id"], k["calls"]) for k in found["by_key"]] == [(api.key.id, 102)]
    assert found["top_paths"][0] == {"method": "GET", "path": "/", "calls": 100, "errors": 0}


async def test_an_api_without_calls(database: Database) -> None:
    found = await analytics(database, str(uuid4()), 0)
    assert (found["calls"], found["p50_ms"], found["by_day"]) == (0, None, [])


async def test_tenant_usage_counts_within_windows(database: Database, api: MadeApi) -> None:
    now = time.time()
    await record(database, [usage_call(api, now - age) for age in (1, 100, 7200, 90000)])
    arguments = {"p_tenant_id": api.tenant_id}
    found = await database.rpc("tenant_usage", arguments, identity=SERVICE)
    assert found["usage"] == {"minute": 1, "hour": 2, "day": 3}
    assert (found["plan"], found["plan_limits"]) == ("free", {"hour": 100})


async def test_usage_of_unknown_tenant(database: Database) -> None:
    arguments = {"p_tenant_id": str(uuid4())}
    assert await database.rpc("tenant_usage", arguments, identity=SERVICE) is None


class TestPeople:
    """The same sums, asked for by people themselves."""

    async def test_a_member_sums_what_the_service_sums(self, database: Database, dsn: str) -> None:
        person = await make_user(dsn)
        api = await make_api(database, person.tenant_id)
        await record(database, [usage_call(api, time.time()) for _ in range(3)])
        arguments = {"p_api_id": api.id, "p_since": "2020-01-01"}
        own = await database.rpc("api_analytics", arguments, identity=person.identity)
        assert own == await database.rpc("api_analytics", arguments, identity=SERVICE)
        assert own["calls"] == 3

    async def test_a_stranger_sums_nothing_and_has_nothing(
        self, database: Database, dsn: str
    ) -> None:
        owner, stranger = await make_user(dsn), await make_user(dsn)
        api = await make_api(database, owner.tenant_id)
        await record(database, [usage_call(api, time.time())])
        grant = {"p_tenant": owner.tenant_id, "p_amount": 7, "p_key": "k"}
        await database.rpc("grant_credit", grant, identity=SERVICE)
        arguments = {"p_api_id": api.id, "p_since": "2020-01-01"}
        found = await database.rpc("api_analytics", arguments, identity=stranger.identity)
        account = {"p_tenant": owner.tenant_id}
        credit = await database.rpc("gateway_credit", account, identity=stranger.identity)
        assert (found["calls"], credit["granted"]) == (0, 0)

    async def test_a_callers_key_is_not_named_to_the_owner_of_the_api(
        self, database: Database, dsn: str
    ) -> None:
        owner, caller = await make_user(dsn), await make_user(dsn)
        api = await make_api(database, owner.tenant_id)
        key = (await make_api(database, caller.tenant_id)).key
        call = usage_call(api, time.time(), key_id=key.id, caller_tenant_id=caller.tenant_id)
        await record(database, [call])
        arguments = {"p_api_id": api.id, "p_since": "2020-01-01"}
        found = await database.rpc("api_analytics", arguments, identity=owner.identity)
        assert [(one["name"], one["calls"]) for one in found["by_key"]] == [(None, 1)]
