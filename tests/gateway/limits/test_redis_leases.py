"""Calls counted ahead: fewer trips, and never a call too many."""

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.limits.types import Limit, Window
from tests.support.limiters import Clock, shared
from tests.support.redis_server import RedisServer

MINUTE = (Limit("tenant:t", Window.MINUTE, 100), Limit("key:k", Window.HOUR, 400))
SIZE = 10

calls = st.tuples(st.integers(0, 1), st.integers(1, 40), st.sampled_from([0, 0.3, 1, 7, 30, 61]))


@settings(max_examples=25, deadline=None)
@given(st.lists(calls, max_size=40))
def test_two_gateways_with_leases_never_pass_the_limit_in_any_interval(
    shared_redis: RedisServer, history: list[tuple[int, int, float]]
) -> None:
    clock = Clock()
    times: list[float] = []

    async def run() -> None:
        async with (
            shared(clock, shared_redis, lease=SIZE) as one,
            shared(clock, shared_redis, lease=SIZE, is_first=False) as other,
        ):
            for which, count, pause in history:
                clock.now += pause
                for _ in range(count):
                    decision = await (one, other)[which].admit(MINUTE)
                    assert not decision.degraded
                    if decision.admitted:
                        times.append(clock.now)

    asyncio.run(run())
    for begin in times:
        for limit in MINUTE:
            until = begin + limit.window.seconds
            assert sum(begin <= at <= until for at in times) <= limit.quantity


async def test_most_calls_make_no_trip_and_count_down_all_the_same(
    shared_redis: RedisServer,
) -> None:
    async with shared(Clock(), shared_redis, lease=SIZE) as limiter:
        decisions = [limiter.limiter.decide(MINUTE) for _ in range(1)]
        seen = []
        for _ in range(50):
            decided = limiter.limiter.decide(MINUTE)
            decisions.append(decided)
            decision = await decided if isinstance(decided, asyncio.Future) else decided
            seen.append(decision.states[0].remaining)
    trips = sum(isinstance(decided, asyncio.Future) for decided in decisions)
    assert trips < 20
    assert seen == list(range(98, 48, -1))


async def test_near_the_limit_nothing_is_counted_ahead(shared_redis: RedisServer) -> None:
    few = (Limit("tenant:t", Window.MINUTE, 16),)
    async with shared(Clock(), shared_redis, lease=SIZE) as limiter:
        for left in range(15, -1, -1):
            await limiter.admit(few)
            assert (await limiter.usage_of(few))[0].remaining == left


async def test_what_is_not_used_in_time_is_given_back(shared_redis: RedisServer) -> None:
    clock = Clock()
    async with shared(clock, shared_redis, lease=5) as limiter:
        for _ in range(2):
            await limiter.admit(MINUTE)
        assert [s.remaining for s in await limiter.usage_of(MINUTE)] == [94, 394]
        clock.now += 1
        limiter.limiter.sweep()
        assert [s.remaining for s in await limiter.usage_of(MINUTE)] == [98, 398]


async def test_a_gateway_that_ends_gives_back(shared_redis: RedisServer) -> None:
    clock = Clock()
    async with shared(clock, shared_redis) as other:
        async with shared(clock, shared_redis, lease=5, is_first=False) as limiter:
            for _ in range(3):
                await limiter.admit(MINUTE)
        assert (await other.usage_of(MINUTE))[0].remaining == 97
