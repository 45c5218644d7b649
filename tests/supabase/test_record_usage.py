"""Calls are stored exactly once, counters follow, and a bad row blocks nobody."""

import asyncio
import json
import time
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from gateway.store.database import SERVICE, Database, DatabaseError, Filter, Row
from tests.support.factories import MadeApi, make_api, make_user, usage_call
from tests.support.records import CallRecord

NOW = time.time()


@pytest.fixture
async def api(database: Database, dsn: str) -> MadeApi:
    return await make_api(database, (await make_user(dsn)).tenant_id)


async def record(database: Database, calls: Any) -> dict[str, int]:
    answer: dict[str, int] = await database.rpc(
        "record_usage", {"p_calls": calls}, identity=SERVICE
    )
    return answer


async def counters(database: Database, now: float = NOW) -> list[Row]:
    rows: list[Row] = await database.rpc("rate_limit_counts", {"p_now": now}, identity=SERVICE)
    return rows


def outcome(inserted: int, duplicates: int = 0, rejected: int = 0) -> dict[str, int]:
    return {"inserted": inserted, "duplicates": duplicates, "rejected": rejected}


async def test_the_record_of_a_call_is_what_the_function_takes(
    database: Database, api: MadeApi
) -> None:
    subject = f"key:{api.key.id}"
    call = CallRecord(
        request_id="r1",
        at=NOW,
        api_id=api.id,
        tenant_id=api.tenant_id,
        caller_tenant_id=api.key.tenant_id,
        key_id=api.key.id,
        version=1,
        method="POST",
        path="/a?b",
        status_code=502,
        error_code="sandbox_died",
        response_time_us=1234,
        request_size_bytes=1,
        response_size_bytes=2,
        limits=((subject, "minute"),),
    )
    assert await record(database, [call.to_json()]) == outcome(1)
    stored = (await database.select("api_usage", identity=SERVICE))[0]
    expected = call.to_json()
    del expected["limits"]
    moment = datetime.fromisoformat(stored.pop("at"))
    assert abs(moment.timestamp() - expected.pop("at")) < 1e-5
    assert stored == expected | {"price_nano_usd": 0, "counted": 64, "counted_as": None}


async def test_each_call_is_stored_and_counted_once(database: Database, api: MadeApi) -> None:
    calls = [usage_call(api, NOW) for _ in range(10)]
    assert await record(database, calls) == outcome(10)
    assert await record(database, calls[:4]) == outcome(0, 4)
    assert [row["count"] for row in await counters(database)] == [10]


async def test_a_call_twice_in_one_batch_is_one_call(database: Database, api: MadeApi) -> None:
    call = usage_call(api, NOW)
    assert await record(database, [call, call]) == outcome(1, 1)
    assert [row["count"] for row in await counters(database)] == [1]


async def test_an_empty_batch(database: Database) -> None:
    assert await record(database, []) == outcome(0)


@pytest.mark.parametrize("calls", [None, {}, "x", 1])
async def test_something_other_than_a_list(database: Database, calls: Any) -> None:
    with pytest.raises(DatabaseError) as caught:
        await record(database, calls)
    assert caught.value.code == "invalid_calls"


async def test_counters_use_sixtieths_of_each_window(database: Database, api: MadeApi) -> None:
    subject = f"tenant:{api.tenant_id}"
    at = NOW
    limits = [[subject, "minute"], [subject, "hour"], [subject, "day"]]
    await record(database, [usage_call(api, at, limits=limits)])
    buckets = {row["window"]: row["bucket"] for row in await counters(database)}
    assert buckets == {
        "minute": int(at // 1),
        "hour": int(at // 60),
        "day": int(at // 1440),
    }


async def test_a_call_without_limits_is_stored(database: Database, api: MadeApi) -> None:
    assert await record(database, [usage_call(api, NOW, limits=[])]) == outcome(1)
    assert await counters(database) == []


BAD = {
    "no time": {"at": None},
    "time is text": {"at": "soon"},
    "time is huge": {"at": 1e300},
    "time long ago": {"at": 1.0},
    "time in the future": {"at": NOW + 400 * 86400},
    "no request id": {"request_id": None},
    "empty request id": {"request_id": ""},
    "request id too long": {"request_id": "x" * 129},
    "api is no uuid": {"api_id": "nope"},
    "status out of range": {"status_code": 1000},
    "status is text": {"status_code": "ok"},
    "negative size": {"request_size_bytes": -1},
    "size beyond bigint": {"response_size_bytes": 10**30},
    "unknown window": {"limits": [["tenant:" + "0" * 36, "week"]]},
    "odd subject": {"limits": [["x", "hour"]]},
    "limits are no list": {"limits": {"hour": 1}},
}


@pytest.mark.parametrize("change", BAD.values(), ids=BAD)
async def test_a_malformed_row_is_rejected_alone(
    database: Database, api: MadeApi, change: dict[str, Any]
) -> None:
    calls = [usage_call(api, NOW), usage_call(api, NOW, **change), usage_call(api, NOW)]
    assert await record(database, calls) == outcome(2, 0, 1)
    assert [row["count"] for row in await counters(database)] == [2]


@pytest.mark.parametrize("row", [None, 3, "x", [], {}])
async def test_a_row_that_is_no_call_is_rejected_alone(
    database: Database, api: MadeApi, row: Any
) -> None:
    assert await record(database, [row, usage_call(api, NOW)]) == outcome(1, 0, 1)


async def test_known_rows_in_a_batch_with_a_bad_one(database: Database, api: MadeApi) -> None:
    known = usage_call(api, NOW)
    await record(database, [known])
    calls = [known, usage_call(api, NOW, at="x"), usage_call(api, NOW)]
    assert await record(database, calls) == outcome(1, 1, 1)


@pytest.mark.parametrize("path", ["/\0x", "/\ud800x"])
async def test_text_that_postgres_cannot_hold_is_replaced(
    database: Database, api: MadeApi, path: str
) -> None:
    assert await record(database, [usage_call(api, NOW, path=path)]) == outcome(1)
    stored = (await database.select("api_usage", identity=SERVICE, columns="path"))[0]
    assert stored["path"] == "/\ufffdx"


async def test_a_call_counted_nowhere_is_stored(database: Database, api: MadeApi) -> None:
    assert await record(database, [usage_call(api, NOW, limits=None)]) == outcome(1)


async def test_a_long_path_is_cut(database: Database, api: MadeApi) -> None:
    await record(database, [usage_call(api, NOW, path="/" + "x" * 2000)])
    stored = (await database.select("api_usage", identity=SERVICE, columns="path"))[0]
    assert len(stored["path"]) == 512


async def test_calls_of_a_deleted_api_are_still_accepted(database: Database, api: MadeApi) -> None:
    await database.rpc("delete_api", {"p_api_id": api.id}, identity=SERVICE)
    gone = usage_call(api, NOW, key_id=str(uuid4()))
    assert await record(database, [gone, usage_call(api, NOW)]) == outcome(2)


async def test_the_key_remembers_its_newest_use(database: Database, api: MadeApi) -> None:
    for at in (NOW - 10, NOW, NOW - 5):
        await record(database, [usage_call(api, at)])
    where = [Filter("id", "eq", api.key.id)]
    key = (await database.select("consumer_api_keys", identity=SERVICE, where=where))[0]
    used = datetime.fromisoformat(key["last_used_at"]).timestamp()
    assert used == pytest.approx(NOW, abs=1e-3)


async def test_parallel_overlapping_batches_store_everything_once(
    database: Database, api: MadeApi
) -> None:
    calls = [usage_call(api, NOW - number % 7) for number in range(200)]
    batches = [calls[start : start + 120] for start in (0, 20, 40, 60, 80)] + [calls[::-1]]
    answers = await asyncio.gather(*(record(database, batch) for batch in batches))
    assert sum(answer["inserted"] for answer in answers) == 200
    assert sum(row["count"] for row in await counters(database)) == 200


async def test_calls_of_several_months_find_their_partition(
    database: Database, api: MadeApi, owner: asyncpg.Connection
) -> None:
    at = NOW - 200 * 86400
    assert await record(database, [usage_call(api, at), usage_call(api, NOW)]) == outcome(2)
    month = datetime.fromtimestamp(at, UTC).strftime("%Y%m")
    assert await owner.fetchval("select to_regclass($1)::text", f"private.api_usage_{month}")


async def test_counters_outside_their_window_are_neither_answered_nor_kept(
    database: Database, api: MadeApi
) -> None:
    subject = f"tenant:{api.tenant_id}"
    limits = [[subject, "minute"], [subject, "day"]]
    await record(database, [usage_call(api, NOW, limits=limits)])
    later = NOW + 120
    assert [row["window"] for row in await counters(database, later)] == ["day"]
    assert await database.rpc("purge_rate_limits", {"p_now": later}, identity=SERVICE) == 1
    assert await database.rpc("purge_rate_limits", {"p_now": later}, identity=SERVICE) == 0


async def test_recording_calls_announces_no_change(
    database: Database, api: MadeApi, owner: asyncpg.Connection
) -> None:
    heard: list[object] = []
    await owner.add_listener("sandgate_changes", lambda *heard_now: heard.append(heard_now))
    await record(database, [usage_call(api, NOW)])
    await database.rpc("revoke_key", {"p_key_id": api.key.id}, identity=SERVICE)
    await owner.execute("select 1")  # what was announced before this answer has arrived
    assert [json.loads(str(item[3]))["kind"] for item in heard if isinstance(item, tuple)] == [
        "key"
    ]
