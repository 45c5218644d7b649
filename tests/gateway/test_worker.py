"""Housekeeping of the worker."""

import datetime

import asyncpg

from gateway.store.auth_users import KEEP_ROTATED
from gateway.store.database import SERVICE, Database
from gateway.store.kv import KvStore
from gateway.worker import housekeeping, months_to_keep, purge_sessions
from tests.support.factories import make_api, make_user
from tests.support.issuer import running_issuer


def test_months_reach_from_the_last_one_to_three_ahead() -> None:
    months = months_to_keep(datetime.date(2026, 11, 22))
    assert [month.isoformat() for month in months] == [
        "2026-10-01",
        "2026-11-01",
        "2026-12-01",
        "2027-01-01",
        "2027-02-01",
    ]


def test_january_looks_back_into_december() -> None:
    assert months_to_keep(datetime.date(2027, 1, 31))[0] == datetime.date(2026, 12, 1)


async def test_housekeeping_forgets_counters_that_no_window_sees(database: Database) -> None:
    old = {
        "subject": "tenant:00000000-0000-4000-8000-000000000001",
        "window": "minute",
        "bucket": 1,
        "count": 5,
    }
    await database.insert("rate_limit_usage", [old], identity=SERVICE)
    await housekeeping(database)
    assert await database.select("rate_limit_usage", identity=SERVICE) == []


async def test_housekeeping_can_be_repeated(database: Database) -> None:
    await housekeeping(database)
    await housekeeping(database)
    assert await database.select("api_usage", identity=SERVICE) == []


async def test_housekeeping_forgets_expired_keys(
    database: Database, owner: asyncpg.Connection, dsn: str
) -> None:
    store = KvStore(database)
    for _ in range(3):
        api = await make_api(database, (await make_user(dsn)).tenant_id)
        await store.set(api.id, "old", "1", seconds=60)
        await store.set(api.id, "kept", "1")
    await owner.execute("update public.api_kv set expires_at = now() where expires_at is not null")
    await housekeeping(database)
    assert await owner.fetchval("select array_agg(distinct key) from public.api_kv") == ["kept"]


async def test_upkeep_forgets_refresh_tokens_that_are_over(
    auth_database: tuple[str, str], database: Database, dsn: str
) -> None:
    async with running_issuer(*auth_database, database) as issuer:
        token = (await issuer.sign_up("ann@example.com"))["refresh_token"]
        await issuer.refresh(token)
        auth = await asyncpg.connect(dsn.replace("//postgres@", "//supabase_auth_admin@"))
        try:
            await auth.execute(
                "update auth.refresh_tokens set updated_at = updated_at - $1::interval",
                KEEP_ROTATED,
            )
            await purge_sessions(issuer.users)
            assert await auth.fetchval("select array_agg(revoked) from auth.refresh_tokens") == [
                False
            ]
        finally:
            await auth.close()
