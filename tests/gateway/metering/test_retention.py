"""Calls become sums by day exactly once, and what is read stays the same."""

import asyncio
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from gateway.metering.retention import first_kept, retire
from gateway.operations.reconcile import reconcile
from gateway.store import usage
from gateway.store.database import SERVICE, Database
from gateway.store.embedded import EmbeddedPostgres
from gateway.store.postgres import PostgresDatabase
from tests.support.factories import MadeApi, make_api, make_user, usage_call

NOW = datetime.now(UTC)
OLD = NOW - timedelta(days=100)
SUMS = ("calls", "errors", "client_errors", "request_bytes", "response_bytes")


@pytest.fixture
async def api(database: Database, dsn: str) -> MadeApi:
    return await make_api(database, (await make_user(dsn)).tenant_id)


async def record(database: Database, calls: list[dict[str, Any]]) -> None:
    await database.rpc("record_usage", {"p_calls": calls}, identity=SERVICE)


def old_calls(api: MadeApi, count: int = 100) -> list[dict[str, Any]]:
    """One each hour, so over several days."""
    return [
        usage_call(
            api,
            (OLD + timedelta(hours=number)).timestamp(),
            response_time_us=1000 * (number + 1),
            status_code=(200, 200, 404, 500)[number % 4],
            version=1 + number % 2,
        )
        for number in range(count)
    ]


def retired_since(found: Any) -> dict[str, Any]:
    """Without what is rounded, and paths, which sums do not have."""
    versions = [{k: v[k] for k in ("version", "calls", "errors")} for v in found["by_version"]]
    kept = {name: found[name] for name in (*SUMS, "by_day", "by_key")}
    return {**kept, "by_version": versions}


@pytest.mark.parametrize(
    ("today", "months", "first"),
    [
        (date(2026, 11, 22), 1, date(2026, 10, 1)),
        (date(2026, 1, 31), 1, date(2025, 12, 1)),
        (date(2026, 12, 1), 14, date(2025, 10, 1)),
    ],
)
def test_so_many_whole_months_stay(today: date, months: int, first: date) -> None:
    assert first_kept(today, months) == first


async def test_analytics_are_the_same_before_and_after(database: Database, api: MadeApi) -> None:
    await record(database, [*old_calls(api), usage_call(api, NOW.timestamp(), status_code=502)])
    since = OLD - timedelta(days=1)
    before = await usage.analytics(database, SERVICE, UUID(api.id), since)
    assert await retire(database, 1) == 100
    after = await usage.analytics(database, SERVICE, UUID(api.id), since)
    assert retired_since(after) == retired_since(before)
    assert after["p50_ms"] == pytest.approx(before["p50_ms"], rel=0.03)
    assert after["p95_ms"] == pytest.approx(before["p95_ms"], rel=0.03)
    for one, other in zip(after["by_version"], before["by_version"], strict=True):
        assert one["p95_ms"] == pytest.approx(other["p95_ms"], rel=0.03)
    assert [path["calls"] for path in after["top_paths"]] == [1]


async def test_old_months_are_gone_and_newer_ones_stay(
    database: Database, api: MadeApi, owner: asyncpg.Connection
) -> None:
    recent = usage_call(api, NOW.timestamp())
    await record(database, [*old_calls(api, 5), recent])
    await retire(database, 1)
    rows = await database.select("api_usage", identity=SERVICE)
    assert [row["request_id"] for row in rows] == [recent["request_id"]]
    months = await owner.fetchval(
        "select min(inhrelid::regclass::text) from pg_inherits"
        " where inhparent = 'public.api_usage'::regclass"
    )
    assert months == f"private.api_usage_{first_kept(NOW.date(), 1):%Y%m}"


async def test_a_call_that_comes_late_is_added(database: Database, api: MadeApi) -> None:
    await record(database, old_calls(api, 3))
    await retire(database, 1)
    await record(database, old_calls(api, 3))
    await retire(database, 1)
    found = await usage.analytics(database, SERVICE, UUID(api.id), OLD - timedelta(days=1))
    assert found["calls"] == 6
    rows = await database.select("usage_days", identity=SERVICE, columns="times,calls")
    assert all(sum(row["times"].values()) == row["calls"] for row in rows)


async def test_little_by_little_is_the_same(
    database: Database, api: MadeApi, owner: asyncpg.Connection
) -> None:
    same_moment = [usage_call(api, OLD.timestamp()) for _ in range(7)]
    await record(database, [*old_calls(api, 10), *same_moment])
    asked = "select public.retire_usage($1, 3) is not null"
    steps = 0
    while await owner.fetchval(asked, first_kept(NOW.date(), 1)):
        steps += 1
        assert steps < 50
    assert await owner.fetchval("select sum(calls) from public.usage_days") == 17


async def test_several_workers_at_once_count_once(
    postgres: EmbeddedPostgres, database_name: str, database: Database, api: MadeApi
) -> None:
    await record(database, old_calls(api))

    async def worker() -> int:
        async with await PostgresDatabase.connect(
            postgres.socket_dir, database=database_name, connections=1
        ) as own:
            return await retire(own, 1)

    assert sum(await asyncio.gather(*(worker() for _ in range(4)))) == 100
    rows = await database.select("usage_days", identity=SERVICE, columns="calls")
    assert sum(row["calls"] for row in rows) == 100


async def test_a_reader_puts_it_off(
    database: Database, api: MadeApi, owner: asyncpg.Connection
) -> None:
    await record(database, old_calls(api, 3))
    async with owner.transaction():
        await owner.fetch("select * from public.api_usage")
        assert await retire(database, 1) == 3  # moved, and the empty months left for later
    assert await retire(database, 1) == 0
    months = await owner.fetchval(
        "select count(*) from pg_inherits where inhparent = 'public.api_usage'::regclass"
    )
    assert months == 5


async def test_reconciling_begins_where_calls_are_kept(
    database: PostgresDatabase, api: MadeApi, dsn: str, tmp_path: Path
) -> None:
    buyer = (await make_user(dsn)).tenant_id
    paid = [{**call, "caller_tenant_id": buyer, "price_nano_usd": 5} for call in old_calls(api, 3)]
    await record(database, paid)
    await retire(database, 1)
    found = await reconcile(database, tmp_path, days=400)
    assert (found.is_clean, found.calls) == (True, 0)
