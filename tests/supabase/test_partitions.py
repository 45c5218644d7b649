"""Months of usage are made ahead, repeatedly and by several at once, and dropped when old."""

import asyncio
import time

import asyncpg
import pytest

from gateway.store.database import SERVICE, Database
from tests.support.factories import make_api, make_user, usage_call


async def months(owner: asyncpg.Connection) -> list[str]:
    rows = await owner.fetch(
        "select inhrelid::regclass::text as name from pg_inherits"
        " where inhparent = 'public.api_usage'::regclass order by 1"
    )
    return [row["name"] for row in rows]


async def ensure(database: Database, month: str) -> str:
    name: str = await database.rpc("ensure_usage_partition", {"p_month": month}, identity=SERVICE)
    return name


async def test_five_months_exist_from_the_start(owner: asyncpg.Connection) -> None:
    assert len(await months(owner)) == 5


async def test_making_a_month_is_repeatable_and_takes_any_day(
    database: Database, owner: asyncpg.Connection
) -> None:
    for day in ("2031-05-01", "2031-05-17", "2031-05-31"):
        assert await ensure(database, day) == "api_usage_203105"
    assert "private.api_usage_203105" in await months(owner)


async def test_several_at_once_make_one(database: Database, owner: asyncpg.Connection) -> None:
    for year in range(2031, 2041):
        await asyncio.gather(*(ensure(database, f"{year}-06-01") for _ in range(8)))
        assert (await months(owner)).count(f"private.api_usage_{year}06") == 1


async def test_a_new_month_is_secured(database: Database, owner: asyncpg.Connection) -> None:
    await ensure(database, "2031-07-01")
    assert await owner.fetchval(
        "select relrowsecurity from pg_class where oid = 'private.api_usage_203107'::regclass"
    )


async def test_months_meet_without_gap_in_utc(
    database: Database, owner: asyncpg.Connection
) -> None:
    for month in ("2031-08-01", "2031-09-01"):
        await ensure(database, month)
    bounds = await owner.fetch(
        "select pg_get_expr(relpartbound, oid) as bounds from pg_class"
        " where relname in ('api_usage_203108', 'api_usage_203109') order by relname"
    )
    assert "2031-09-01 00:00:00+00" in bounds[0]["bounds"].partition(" TO ")[2]
    assert "2031-09-01 00:00:00+00" in bounds[1]["bounds"].partition(" TO ")[0]


async def test_old_months_go_and_newer_ones_stay(
    database: Database, dsn: str, owner: asyncpg.Connection
) -> None:
    api = await make_api(database, (await make_user(dsn)).tenant_id)
    call = usage_call(api, time.time())
    await database.rpc("record_usage", {"p_calls": [call]}, identity=SERVICE)
    await ensure(database, "2020-01-01")
    arguments = {"p_month": time.strftime("%Y-%m-01", time.gmtime())}
    dropped = await database.rpc("drop_usage_before", arguments, identity=SERVICE)
    assert dropped == 2  # January 2020 and last month
    assert len(await months(owner)) == 4
    assert len(await database.select("api_usage", identity=SERVICE)) == 1
    assert await database.rpc("drop_usage_before", arguments, identity=SERVICE) == 0


async def test_a_missing_month_fails_loudly(owner: asyncpg.Connection) -> None:
    with pytest.raises(asyncpg.CheckViolationError, match="no partition"):
        await owner.execute(
            "insert into public.api_usage values ('2000-01-01', 'r', gen_random_uuid(),"
            " gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 1, 'GET', '/', 200,"
            " null, 1, 1, 1)"
        )
