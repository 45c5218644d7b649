"""Counters after a restart: what was recorded in the database counts again."""

import time
from uuid import uuid4

from gateway.limits.memory import MemoryLimiter
from gateway.limits.types import Limit, Window
from gateway.store.database import SERVICE
from gateway.store.postgres import PostgresDatabase
from tests.support.records import CallRecord

LIMITS = [
    Limit(f"tenant:{uuid4()}", Window.HOUR, 10),
    Limit(f"api:{uuid4()}", Window.DAY, 50),
    Limit(f"key:{uuid4()}", Window.MINUTE, 1000),
]


def record(at: float) -> CallRecord:
    return CallRecord(
        request_id=uuid4().hex,
        at=at,
        api_id=str(uuid4()),
        tenant_id=str(uuid4()),
        caller_tenant_id=str(uuid4()),
        key_id=str(uuid4()),
        version=1,
        method="GET",
        path="/",
        status_code=200,
        error_code=None,
        response_time_us=1,
        request_size_bytes=0,
        response_size_bytes=0,
        limits=tuple((limit.subject, str(limit.window)) for limit in LIMITS),
    )


async def test_recorded_calls_count_after_a_restart_in_the_windows_they_are_still_in(
    database: PostgresDatabase,
) -> None:
    now = time.time()
    ages = [0, 1, 120, 3000, 4000, 90_000]  # seconds; the last two have left hour and day
    calls = [record(now - age).to_json() for age in ages]
    answer = await database.rpc("record_usage", {"p_calls": calls}, identity=SERVICE)
    assert answer["inserted"] == len(ages)

    limiter = MemoryLimiter(lambda: now)
    limiter.restore(await database.rpc("rate_limit_counts", {"p_now": now}, identity=SERVICE))
    states = await limiter.usage_of(LIMITS)
    assert [state.limit.quantity - state.remaining for state in states] == [4, 5, 2]


async def test_a_limit_used_up_before_a_restart_is_used_up_after_it(
    database: PostgresDatabase,
) -> None:
    now = time.time()
    before = MemoryLimiter(lambda: now)
    admitted = [await before.admit(LIMITS) for _ in range(12)]
    calls = [record(now).to_json() for decision in admitted if decision.admitted]
    await database.rpc("record_usage", {"p_calls": calls}, identity=SERVICE)

    after = MemoryLimiter(lambda: now)
    after.restore(await database.rpc("rate_limit_counts", {"p_now": now}, identity=SERVICE))
    assert await after.usage_of(LIMITS) == await before.usage_of(LIMITS)
    assert not (await after.admit(LIMITS)).admitted
