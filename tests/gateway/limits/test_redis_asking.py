"""How decisions travel: what is asked in one turn of the loop is one question."""

import asyncio
from typing import cast

import pytest

from gateway.limits.redis import RedisLimiter
from gateway.limits.redis_ask import Ask
from gateway.limits.redis_wire import Reply
from gateway.limits.types import Charge, Decision, Limit, Window
from tests.support.limiters import Clock, gateway, shared
from tests.support.redis_server import RedisServer

LIMITS = (Limit("tenant:t", Window.HOUR, 100),)
OTHERS = (Limit("key:k", Window.HOUR, 100),)
CHARGE = Charge("t", 30)


def scripts_run(server: RedisServer) -> int:
    """How many scripts the store has run so far."""
    with server.client() as client:
        stats = client.info("commandstats")
    names = ("cmdstat_eval", "cmdstat_evalsha")
    return sum(int(stats.get(name, {}).get("calls", 0)) for name in names)


def asked(limiter: RedisLimiter, *, charge: Charge | None = None) -> asyncio.Future[Decision]:
    """A decision that is on its way."""
    return cast("asyncio.Future[Decision]", limiter.decide(LIMITS, charge))


async def test_callers_with_the_same_limits_are_one_question(shared_redis: RedisServer) -> None:
    async with gateway(shared_redis.url) as limiter:
        await limiter.admit(LIMITS)
        before = scripts_run(shared_redis)
        decisions = await asyncio.gather(*(asked(limiter) for _ in range(50)))
        assert scripts_run(shared_redis) == before + 1
    assert [decision.admitted for decision in decisions] == [True] * 50


async def test_other_limits_and_prices_are_questions_of_their_own(
    shared_redis: RedisServer,
) -> None:
    async with gateway(shared_redis.url) as limiter:
        await limiter.set_credit("t", 1000, 0)
        await limiter.admit(LIMITS)
        before = scripts_run(shared_redis)
        decided = [asked(limiter), asked(limiter, charge=CHARGE), asked(limiter, charge=CHARGE)]
        decided.append(cast("asyncio.Future[Decision]", limiter.decide(OTHERS)))
        assert all(decision.admitted for decision in await asyncio.gather(*decided))
        assert scripts_run(shared_redis) == before + 4


async def test_a_caller_who_goes_takes_no_other_along(shared_redis: RedisServer) -> None:
    async with shared(Clock(), shared_redis) as made:
        gone, stays = asked(made.limiter), asked(made.limiter)
        gone.cancel()
        assert (await stays).admitted
        assert (await made.usage_of(LIMITS))[0].remaining == 98


async def test_what_a_caller_reserved_who_goes_before_the_answer_is_given_back(
    shared_redis: RedisServer,
) -> None:
    async with shared(Clock(), shared_redis) as made:
        await made.set_credit("t", 30, 0)
        waits = asyncio.create_task(made.limiter.admit((), CHARGE))
        await asyncio.sleep(0)
        waits.cancel()
        await asyncio.gather(waits, return_exceptions=True)
        await made.usage_of(LIMITS)  # answered after it: one connection
        assert (await made.admit((), CHARGE)).admitted


async def test_what_a_caller_reserved_who_goes_with_the_answer_is_given_back(
    shared_redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with shared(Clock(), shared_redis) as made:
        await made.set_credit("t", 30, 0)
        waits = asyncio.create_task(made.limiter.admit((), CHARGE))
        answered = made.limiter.answered

        def answered_and_gone(ask: Ask, reply: Reply) -> None:
            answered(ask, reply)
            waits.cancel()

        monkeypatch.setattr(made.limiter, "answered", answered_and_gone)
        await asyncio.gather(waits, return_exceptions=True)
        monkeypatch.undo()
        assert waits.cancelled()
        assert (await made.admit((), CHARGE)).admitted


async def test_a_caller_who_goes_when_the_store_goes_is_gone(shared_redis: RedisServer) -> None:
    async with shared(Clock(), shared_redis) as made:
        waits = asyncio.create_task(made.limiter.admit((), CHARGE))
        await asyncio.sleep(0)
        assert made.limiter.serving is not None
        made.limiter.serving.abort()
        waits.cancel()
        await asyncio.gather(waits, return_exceptions=True)
        assert waits.cancelled()
