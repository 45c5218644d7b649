"""Reconciling finds each difference, and none where there is none."""

import json
import time
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest

from gateway.store.database import SERVICE, Database
from tests.support.factories import MadeApi, make_api, make_user, usage_call

LAST_WEEK = "select public.reconcile(now() - interval '7 days')"
HOUSE = "00000000-0000-0000-0000-000000000000"


@pytest.fixture
async def api(database: Database, dsn: str) -> MadeApi:
    """With calls, paid and free, counted and not, and a credit."""
    seller, buyer = await make_user(dsn), await make_user(dsn)
    api = await make_api(database, seller.tenant_id)
    account, now = buyer.tenant_id, time.time()
    credit = {"p_tenant": account, "p_amount": 1000, "p_key": "k"}
    await database.rpc("grant_credit", credit, identity=SERVICE)
    limits = [
        [f"{kind}:{subject}", window]
        for kind, subject in (("tenant", account), ("api", api.id), ("key", api.key.id))
        for window in ("minute", "hour", "day")
    ]
    rotated = [["key:11111111-1111-1111-1111-111111111111", "day"]]
    calls = [
        usage_call(
            api,
            now - number * 7,
            caller_tenant_id=account,
            price_nano_usd=number % 3,
            limits=limits if number % 2 else rotated,
        )
        for number in range(12)
    ]
    calls.append(usage_call(api, now, limits=None))
    await database.rpc("record_usage", {"p_calls": calls}, identity=SERVICE)
    return api


async def reconcile(database: Database, days: float = 7) -> dict[str, Any]:
    since = datetime.fromtimestamp(time.time() - days * 86400, UTC).isoformat()
    answer: dict[str, Any] = await database.rpc("reconcile", {"p_since": since}, identity=SERVICE)
    return answer


async def test_what_was_recorded_is_in_order(database: Database, api: MadeApi) -> None:
    found = await reconcile(database)
    assert (found["difference_count"], found["differences"]) == (0, [])
    assert (found["calls"], found["priced"], found["charged"]) == (13, 8, 12)
    assert sum(hour["calls"] for hour in found["hours"]) == 13
    assert sum(hour["debits"] for hour in found["hours"]) == 8
    assert sum(hour["paid"] for hour in found["hours"]) == 12


async def test_an_empty_installation_is_in_order(database: Database) -> None:
    assert (await reconcile(database))["difference_count"] == 0


BREAKS = {
    "a debit is missing": (
        "delete from public.ledger where id = (select min(id) from public.ledger"
        " where kind = 'call' and amount_nano_usd < 0)",
        {"usage and ledger", "ledger does not add up to zero", "balance and ledger"},
    ),
    "both entries are missing": (
        "delete from public.ledger where request_id = (select request_id from public.api_usage"
        " where price_nano_usd > 0 limit 1)",
        {"usage and ledger", "balance and ledger"},
    ),
    "an entry has another amount": (
        "update public.ledger set amount_nano_usd = 999 where id = (select min(id)"
        " from public.ledger where kind = 'call' and amount_nano_usd > 0)",
        {"usage and ledger", "ledger does not add up to zero", "balance and ledger"},
    ),
    "an entry without usage": (
        "insert into public.ledger (at, request_id, account, kind, amount_nano_usd, api_id)"
        f" values (now(), 'x', '{HOUSE}', 'call', 5, '{HOUSE}'),"
        " (now(), 'x', gen_random_uuid(), 'call', -5, gen_random_uuid())",
        {"usage and ledger", "balance and ledger"},
    ),
    "usage is missing": (
        "delete from public.api_usage where request_id = (select request_id"
        " from public.api_usage where price_nano_usd > 0 order by request_id limit 1)",
        {"usage and ledger", "counters and usage"},
    ),
    "usage has another price": (
        "update public.api_usage set price_nano_usd = 77 where request_id = (select request_id"
        " from public.api_usage where price_nano_usd > 0 order by request_id limit 1)",
        {"usage and ledger"},
    ),
    "a credit from nowhere": (
        "insert into public.ledger (at, request_id, account, kind, amount_nano_usd)"
        " values (now(), 'y', gen_random_uuid(), 'credit', 5)",
        {"ledger does not add up to zero", "balance and ledger"},
    ),
    "a balance was touched": (
        "update public.ledger_balances set spent = spent + 1 where granted > 0",
        {"balance and ledger"},
    ),
    "a balance is missing": (
        "delete from public.ledger_balances where granted > 0",
        {"balance and ledger"},
    ),
    "a counter was touched": (
        "update public.rate_limit_usage set count = count + 1 where \"window\" = 'day'"
        " and subject like 'api:%'",
        {"counters and usage"},
    ),
    "a counter is missing": (
        "delete from public.rate_limit_usage where \"window\" = 'day' and subject like 'tenant:%'",
        {"counters and usage"},
    ),
    "a counter of nothing": (
        "insert into public.rate_limit_usage values"
        f" ('key:{HOUSE}', 'day', floor(extract(epoch from now()) / 1440), 1)",
        {"counters and usage"},
    ),
}


async def test_each_difference_is_found(api: MadeApi, owner: asyncpg.Connection) -> None:
    """Each broken by hand, looked at, and taken back."""
    found: dict[str, set[str]] = {}
    for name, (statement, _) in BREAKS.items():
        transaction = owner.transaction()
        await transaction.start()
        await owner.execute("alter table public.ledger disable trigger user")
        await owner.execute(statement)
        answer = json.loads(await owner.fetchval(LAST_WEEK))
        found[name] = {difference["kind"] for difference in answer["differences"]}
        await transaction.rollback()
    assert found == {name: kinds for name, (_, kinds) in BREAKS.items()}
    assert json.loads(await owner.fetchval(LAST_WEEK))["differences"] == []


async def test_calls_of_which_nothing_is_kept_where_they_counted_are_passed_over(
    database: Database, api: MadeApi, owner: asyncpg.Connection
) -> None:
    """They were stored by an older release."""
    await owner.execute("update public.api_usage set counted = null")
    assert (await reconcile(database))["difference_count"] == 0


async def test_only_calls_since_then_are_looked_at(
    database: Database, api: MadeApi, owner: asyncpg.Connection
) -> None:
    await owner.execute("update public.api_usage set price_nano_usd = 99 where price_nano_usd > 0")
    assert (await reconcile(database, days=-1))["calls"] == 0
    assert (await reconcile(database, days=-1))["difference_count"] == 0
