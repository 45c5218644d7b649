"""Days that are over are summed up beside their calls, and what is read stays the same."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from gateway.metering.retention import first_kept, retire, roll_up
from gateway.store import usage
from gateway.store.database import SERVICE, Database
from tests.support.factories import (
    MadeApi,
    add_member,
    make_api,
    make_tenant,
    make_user,
    usage_call,
)

NOW = datetime.now(UTC)
MIDNIGHT = NOW.replace(hour=0, minute=0, second=0, microsecond=0)
SINCE = MIDNIGHT - timedelta(days=4, hours=-7)  # in the middle of a day
BUSY = 40
EXACT = ("calls", "errors", "client_errors", "request_bytes", "response_bytes", "by_day", "by_key",
         "top_paths")  # fmt: skip


@pytest.fixture
async def api(database: Database, dsn: str) -> MadeApi:
    return await make_api(database, (await make_user(dsn)).tenant_id)


async def record(database: Database, calls: list[dict[str, Any]]) -> None:
    await database.rpc("record_usage", {"p_calls": calls}, identity=SERVICE)


def calls_of(api: MadeApi, count: int = 200, **more: Any) -> list[dict[str, Any]]:
    """Over four days and today, none of a time to come."""
    begin = MIDNIGHT - timedelta(days=4)
    step = (NOW - begin) / count
    return [
        usage_call(
            api,
            (begin + step * number).timestamp(),
            response_time_us=1000 * (number % 90 + 1),
            status_code=(200, 200, 404, 500)[number % 4],
            version=1 + number % 2,
            path=f"/{number % 7}",
            **more,
        )
        for number in range(count)
    ]


async def rolled(owner: asyncpg.Connection, least: int = BUSY) -> int:
    """Sum up everything; a day with so many calls is a busy one."""
    first, made = first_kept(NOW.date(), 1), 0
    asked = "select public.roll_up_usage($1, $2, 60)"
    while (step := await owner.fetchval(asked, first, least)) is not None:
        made += json.loads(step)["apis"]
    return made


async def sums(database: Database, api: MadeApi, since: datetime = SINCE) -> dict[str, Any]:
    return dict(await usage.analytics(database, SERVICE, UUID(api.id), since))


def exact(found: dict[str, Any]) -> dict[str, Any]:
    """What may not differ at all."""
    versions = [{k: v[k] for k in ("version", "calls", "errors")} for v in found["by_version"]]
    return {**{name: found[name] for name in EXACT}, "by_version": versions}


async def test_sums_are_the_same_before_and_after(
    database: Database, api: MadeApi, owner: asyncpg.Connection
) -> None:
    await record(database, calls_of(api))
    before = await sums(database, api)
    assert await rolled(owner) >= 3
    after = await sums(database, api)
    assert exact(after) == exact(before)
    assert (before["percentile_error"], after["percentile_error"]) == (0, 0.025)
    for name in ("p50_ms", "p95_ms"):
        assert after[name] == pytest.approx(before[name], rel=0.026)
        for one, other in zip(after["by_version"], before["by_version"], strict=True):
            assert one[name] == pytest.approx(other[name], rel=0.026)


async def test_sums_come_from_what_was_summed_up(
    database: Database, api: MadeApi, owner: asyncpg.Connection
) -> None:
    await record(database, calls_of(api))
    await rolled(owner)
    row = await owner.fetchrow("update public.usage_rollups set calls = calls + 1000 returning day")
    assert row is not None
    assert (await sums(database, api))["calls"] > 1000


async def test_days_of_few_calls_and_today_stay_as_they_are(
    database: Database, api: MadeApi, owner: asyncpg.Connection
) -> None:
    await record(database, calls_of(api, 60))
    assert await rolled(owner, 1000) == 0
    assert (await sums(database, api))["percentile_error"] == 0
    await owner.execute("delete from private.usage_rolled_days")
    assert await rolled(owner, 1) >= 3
    assert await owner.fetchval("select max(day) from public.usage_rollups") < NOW.date()


async def test_a_call_that_comes_late_is_counted_at_once_and_summed_up_again(
    database: Database, api: MadeApi, owner: asyncpg.Connection
) -> None:
    await record(database, calls_of(api))
    made = await rolled(owner)
    late = MIDNIGHT - timedelta(days=2, hours=-3)
    await record(database, [usage_call(api, late.timestamp())])
    assert await owner.fetchval("select count(*) from public.usage_rollups") == made - 1
    assert (await sums(database, api, MIDNIGHT - timedelta(days=4)))["calls"] == 201
    assert await rolled(owner) == 1
    assert (await sums(database, api, MIDNIGHT - timedelta(days=4)))["calls"] == 201


async def test_a_late_call_of_a_batch_under_way_is_not_missed(
    database: Database, api: MadeApi, owner: asyncpg.Connection, dsn: str
) -> None:
    await record(database, calls_of(api))
    late = usage_call(api, (MIDNIGHT - timedelta(days=2, hours=-3)).timestamp())
    other = await asyncpg.connect(dsn)
    try:
        async with other.transaction():
            await other.execute("select public.record_usage($1)", json.dumps([late]))
            assert await rolled(owner) == 0  # it waits for who stores; the next hour does it
        assert await rolled(owner) >= 3
    finally:
        await other.close()
    assert (await sums(database, api, MIDNIGHT - timedelta(days=4)))["calls"] == 201


async def test_several_workers_at_once_sum_up_once(
    database: Database, api: MadeApi, owner: asyncpg.Connection
) -> None:
    await record(database, calls_of(api))
    await asyncio.gather(*(roll_up(database, 1) for _ in range(3)))
    await rolled(owner)
    assert (await sums(database, api, MIDNIGHT - timedelta(days=4)))["calls"] == 200


async def test_calls_that_are_moved_count_once(
    database: Database, api: MadeApi, owner: asyncpg.Connection
) -> None:
    old = datetime.now(UTC) - timedelta(days=100)
    await record(database, [usage_call(api, old.timestamp()) for _ in range(50)])
    asked = "select public.roll_up_usage($1, 10)"
    while await owner.fetchval(asked, old.date() - timedelta(days=1)):
        pass
    assert await owner.fetchval("select count(*) from public.usage_rollups") == 1
    assert await retire(database, 1) == 50
    assert await owner.fetchval("select count(*) from public.usage_rollups") == 0
    assert (await sums(database, api, old - timedelta(days=1)))["calls"] == 50


async def test_a_day_with_calls_of_a_former_owner_is_not_summed_up(
    database: Database, api: MadeApi, owner: asyncpg.Connection, dsn: str
) -> None:
    before = (await make_user(dsn)).tenant_id
    await record(database, calls_of(api))
    await record(database, calls_of(api, 20, tenant_id=before))
    assert await rolled(owner) == 0


async def test_who_only_calls_sees_no_more_than_before(
    database: Database, api: MadeApi, owner: asyncpg.Connection, dsn: str
) -> None:
    caller = await make_user(dsn)
    await record(database, [*calls_of(api), *calls_of(api, 30, caller_tenant_id=caller.tenant_id)])
    arguments = (caller.identity, UUID(api.id), SINCE)
    before = await usage.analytics(database, *arguments)
    assert await rolled(owner) >= 3
    assert await usage.analytics(database, *arguments) == before
    assert 0 < before["calls"] <= 30


async def test_a_member_reads_what_the_service_reads(
    database: Database, owner: asyncpg.Connection, dsn: str
) -> None:
    person, viewer = await make_user(dsn), await make_user(dsn)
    team = await make_tenant(database, person)
    await add_member(database, team, viewer.id, "viewer")
    api = await make_api(database, team)
    await record(database, calls_of(api))
    await rolled(owner)
    own = await usage.analytics(database, viewer.identity, UUID(api.id), SINCE)
    assert own == await sums(database, api)
    assert own["percentile_error"] == 0.025
