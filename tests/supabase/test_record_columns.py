"""Columns are stored exactly as the same calls one by one, all of them or none."""

import asyncio
import json
import time
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from gateway.metering.columns import columns
from gateway.store import statements
from gateway.store.database import SERVICE, Database, DatabaseError
from gateway.store.schema_cache import CATALOGUE, Function, Schema
from tests.support.factories import MadeApi, make_api, make_user, usage_call

NOW = time.time()
HELD = {
    "usage": "select to_jsonb(t) from public.api_usage as t order by request_id",
    "counters": "select to_jsonb(t) from public.rate_limit_usage as t order by t::text",
    "ledger": "select to_jsonb(t) - 'id' from public.ledger as t order by request_id, account",
    "balances": "select to_jsonb(t) from public.ledger_balances as t order by account",
    "keys": "select to_jsonb(t) from public.consumer_api_keys as t order by id",
}


@pytest.fixture
async def api(database: Database, dsn: str) -> MadeApi:
    return await make_api(database, (await make_user(dsn)).tenant_id)


def line(call: dict[str, Any]) -> bytes:
    """As the recorder writes it."""
    limits, price = call.pop("limits"), call.pop("price_nano_usd", 0)
    sizes = {
        name: call.pop(name) for name in list(call) if name.startswith("res") or "size" in name
    }
    ordered = call | ({"price_nano_usd": price} if price else {}) | sizes | {"limits": limits}
    return (json.dumps(ordered, separators=(",", ":")) + "\n").encode()


async def at_once(database: Database, calls: list[dict[str, Any]]) -> dict[str, int]:
    arguments, others = columns([line(dict(call)) for call in calls])
    assert others == []
    assert arguments is not None
    answer: dict[str, int] = await database.rpc("record_columns", arguments, identity=SERVICE)
    return answer


async def carefully(database: Database, calls: list[dict[str, Any]]) -> None:
    await database.rpc("record_usage", {"p_calls": calls}, identity=SERVICE)


async def held(owner: asyncpg.Connection) -> dict[str, list[Any]]:
    """Everything that recording writes."""
    return {
        name: [json.loads(row[0]) for row in await owner.fetch(query)]
        for name, query in HELD.items()
    }


def mixed(api: MadeApi, number: int) -> dict[str, Any]:
    """One of calls of several keys, accounts, months, prices and windows."""
    account = f"11111111-1111-4111-8111-{number % 3:012}"
    older = f"key:22222222-2222-4222-8222-{number % 2:012}"
    return usage_call(
        api,
        NOW - number * 0.37 - (40 * 86400 if number % 7 == 0 else 0),
        caller_tenant_id=account,
        price_nano_usd=(number % 5) * 100,
        error_code="app_failed" if number % 4 == 0 else None,
        status_code=500 if number % 4 == 0 else 200,
        path=f"/{number % 6}" + "x" * (number % 2 * 600),
        limits=[
            [f"tenant:{account}", "minute"],
            [f"tenant:{account}", "day"],
            [older if number % 3 else f"key:{api.key.id}", "hour"],
        ][: number % 4],
    )


async def test_columns_leave_what_single_calls_leave(
    database: Database, api: MadeApi, owner: asyncpg.Connection
) -> None:
    """In every table, to the last counter."""
    calls = [mixed(api, number) for number in range(60)]
    assert await at_once(database, calls) == {"inserted": 60, "duplicates": 0}
    together = await held(owner)
    await owner.execute("alter table public.ledger disable trigger user")
    await owner.execute(
        "delete from public.api_usage; delete from public.rate_limit_usage;"
        " delete from public.ledger; delete from public.ledger_balances;"
        " update public.consumer_api_keys set last_used_at = null"
    )
    await owner.execute("alter table public.ledger enable trigger user")
    for call in calls:
        await carefully(database, [call])
    assert await held(owner) == together
    assert {name: len(rows) > 0 for name, rows in together.items()} == dict.fromkeys(HELD, True)


async def test_columns_that_come_again_change_nothing(
    database: Database, api: MadeApi, owner: asyncpg.Connection
) -> None:
    """Whole, in part, in another order, twice in themselves, or as single calls."""
    calls = [mixed(api, number) for number in range(30)]
    assert await at_once(database, [*calls, *calls[:5]]) == {"inserted": 30, "duplicates": 5}
    before = await held(owner)
    assert await at_once(database, calls[::-1]) == {"inserted": 0, "duplicates": 30}
    assert await at_once(database, calls[7:9]) == {"inserted": 0, "duplicates": 2}
    await carefully(database, calls)
    assert await held(owner) == before


async def test_columns_that_overlap_at_the_same_moment_store_everything_once(
    database: Database, api: MadeApi, owner: asyncpg.Connection
) -> None:
    calls = [mixed(api, number) for number in range(200)]
    batches = [calls[start : start + 120] for start in (0, 20, 40, 60, 80)] + [calls[::-1]]
    answers = await asyncio.gather(*(at_once(database, batch) for batch in batches))
    assert sum(answer["inserted"] for answer in answers) == 200
    assert await owner.fetchval("select sum(amount_nano_usd) from public.ledger") == 0
    assert await owner.fetchval("select count(*) from public.ledger") == 2 * 160


BAD = {
    "time long ago": {"at": 1.5},
    "time in the future": {"at": NOW + 400 * 86400},
    "empty request id": {"request_id": ""},
    "request id too long": {"request_id": "x" * 129},
    "api is no uuid": {"api_id": "nope"},
    "status out of range": {"status_code": 1000},
    "size beyond bigint": {"response_size_bytes": 10**19 - 1},
    "unknown window": {"limits": [["tenant:" + "0" * 36, "week"]]},
    "odd subject": {"limits": [["x", "hour"]]},
    "pays himself": {"price_nano_usd": 5},
}


@pytest.mark.parametrize("change", BAD.values(), ids=BAD)
async def test_a_call_that_cannot_be_stored_refuses_all(
    database: Database, api: MadeApi, owner: asyncpg.Connection, change: dict[str, Any]
) -> None:
    """In a way that says it will always be so."""
    before = await held(owner)
    with pytest.raises(DatabaseError) as caught:
        await at_once(database, [usage_call(api, NOW), usage_call(api, NOW, **change)])
    assert caught.value.sqlstate[:2] in ("22", "23")
    assert await held(owner) == before


@pytest.mark.parametrize("change", [{"p_grant": [2]}, {"p_version": "{}"}, {"p_grants": []}])
async def test_columns_that_do_not_fit_together_are_refused(
    database: Database, api: MadeApi, change: dict[str, Any]
) -> None:
    """A call is never passed over in silence."""
    arguments, _ = columns([line(usage_call(api, NOW))])
    assert arguments is not None
    with pytest.raises(DatabaseError) as caught:
        await database.rpc("record_columns", arguments | change, identity=SERVICE)
    assert caught.value.sqlstate[:2] == "23"


async def test_a_call_in_the_last_instant_of_a_second_is_counted_where_it_is_stored(
    database: Database, api: MadeApi, owner: asyncpg.Connection
) -> None:
    """A float is finer than what is stored; reconciling knows only what is stored."""
    second = int(NOW) // 60 * 60
    subject = f"tenant:{api.tenant_id}"
    limits = [[subject, window] for window in ("minute", "hour")]
    call = usage_call(api, second - 2e-7, limits=limits)
    assert call["at"] < second
    await at_once(database, [call])
    await carefully(database, [call | {"request_id": uuid4().hex}])
    found = json.loads(await owner.fetchval("select public.reconcile(now() - interval '1 day')"))
    assert found["differences"] == []


async def test_keys_are_found_without_reading_all_of_them(
    api: MadeApi, owner: asyncpg.Connection
) -> None:
    """Twice a second, however many keys there are."""
    await owner.execute(
        "insert into public.consumer_api_keys (tenant_id, name, key_hash, display)"
        f" select '{api.tenant_id}', 'k', 'h' || n, 'd' from generate_series(1, 3000) as n"
    )
    await owner.execute("analyze public.consumer_api_keys")
    arguments, _ = columns([line(usage_call(api, NOW))])
    assert arguments is not None
    statement = statements.rpc(await catalogue(owner), "record_columns", arguments)
    async with owner.transaction():
        await owner.fetchval(statement.sql, *statement.parameters)
        scans = await owner.fetchrow(
            "select seq_scan, idx_scan > 0 as by_index from pg_stat_xact_user_tables"
            " where relid = 'public.consumer_api_keys'::regclass"
        )
    assert scans is not None
    assert (scans["seq_scan"], scans["by_index"]) == (0, True)


async def catalogue(owner: asyncpg.Connection) -> Schema:
    """What the store knows of functions."""
    found = json.loads(await owner.fetchval(CATALOGUE))["functions"]
    return Schema({}, {name: Function(**signature) for name, signature in found.items()})
