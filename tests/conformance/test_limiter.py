"""What every limiter must hold, whatever keeps its counters."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.limits.types import Charge, Decision, Limit, Window
from tests.support.limiters import START, Clock, CountingLimiter, Open, memory, shared
from tests.support.redis_server import RedisServer


@pytest.fixture(scope="module", params=["memory", "redis"])
def opened(request: pytest.FixtureRequest) -> Open:
    """Opens an empty limiter."""
    if request.param == "memory":
        return memory
    server: RedisServer = request.getfixturevalue("shared_redis")
    return lambda clock: shared(clock, server)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def limiter(opened: Open, clock: Clock) -> AsyncIterator[CountingLimiter]:
    async with opened(clock) as made:
        yield made


TENANT_HOUR = Limit("tenant:t", Window.HOUR, 100)


async def test_up_to_the_quantity_is_admitted_and_the_next_is_not(limiter: CountingLimiter) -> None:
    decisions = [await limiter.admit([TENANT_HOUR]) for _ in range(101)]
    assert [decision.admitted for decision in decisions] == [True] * 100 + [False]
    assert [decision.states[0].remaining for decision in decisions] == [*range(99, -1, -1), 0]


async def test_2000_at_once_against_100_admit_exactly_100(limiter: CountingLimiter) -> None:
    decisions = await asyncio.gather(*(limiter.admit([TENANT_HOUR]) for _ in range(2000)))
    assert sum(decision.admitted for decision in decisions) == 100


async def test_calls_at_once_are_let_in_in_the_order_they_came(limiter: CountingLimiter) -> None:
    limits = (Limit("tenant:t", Window.HOUR, 3), Limit("key:k", Window.MINUTE, 9))
    decisions = await asyncio.gather(*(limiter.admit(limits) for _ in range(5)))
    assert [decision.admitted for decision in decisions] == [True, True, True, False, False]
    assert [decision.states[0].remaining for decision in decisions] == [2, 1, 0, 0, 0]
    assert [decision.states[1].remaining for decision in decisions] == [8, 7, 6, 6, 6]
    assert [state.limit for state in decisions[-1].violated] == [limits[0]]


async def test_no_limits_admit_everything(limiter: CountingLimiter) -> None:
    decision = await limiter.admit([])
    assert decision == Decision(True, ())


async def test_subjects_do_not_share_a_counter(limiter: CountingLimiter) -> None:
    one, other = Limit("key:a", Window.HOUR, 1), Limit("key:b", Window.HOUR, 1)
    assert (await limiter.admit([one])).admitted
    assert (await limiter.admit([other])).admitted
    assert not (await limiter.admit([one])).admitted


async def test_one_exhausted_window_rejects_and_the_others_stay_as_they_were(
    limiter: CountingLimiter,
) -> None:
    minute, hour = Limit("key:a", Window.MINUTE, 2), Limit("tenant:t", Window.HOUR, 100)
    for _ in range(2):
        await limiter.admit([hour, minute])
    rejection = await limiter.admit([hour, minute])
    assert not rejection.admitted
    assert [state.limit for state in rejection.violated] == [minute]
    assert [state.remaining for state in rejection.states] == [98, 0]


async def test_any_number_of_rejects_changes_nothing(
    limiter: CountingLimiter, clock: Clock
) -> None:
    limits = [Limit("key:a", Window.MINUTE, 3), Limit("tenant:t", Window.DAY, 1000)]
    for _ in range(3):
        await limiter.admit(limits)
    before = await limiter.usage_of(limits)
    for _ in range(50):
        assert not (await limiter.admit(limits)).admitted
    assert await limiter.usage_of(limits) == before
    clock.now += 61
    assert (await limiter.admit(limits)).states[1].remaining == 996


async def test_looking_at_usage_counts_nothing(limiter: CountingLimiter) -> None:
    for _ in range(10):
        assert (await limiter.usage_of([TENANT_HOUR]))[0].remaining == 100


async def test_after_retry_after_the_call_is_admitted_and_not_before(
    limiter: CountingLimiter, clock: Clock
) -> None:
    limits = [Limit("key:a", Window.HOUR, 2)]
    await limiter.admit(limits)
    clock.now += 100
    await limiter.admit(limits)
    rejection = await limiter.admit(limits)
    clock.now += rejection.retry_after - 1.5  # the field is rounded up to a whole second
    assert not (await limiter.admit(limits)).admitted
    clock.now += 1.5
    assert (await limiter.admit(limits)).admitted


async def test_retry_after_reaches_over_every_violated_window(limiter: CountingLimiter) -> None:
    limits = [Limit("key:a", Window.MINUTE, 1), Limit("key:a", Window.DAY, 1)]
    await limiter.admit(limits)
    rejection = await limiter.admit(limits)
    assert len(rejection.violated) == 2
    assert rejection.retry_after == rejection.violated[1].reset > 86_400 - 1


async def test_a_lowered_quantity_holds_at_once_and_says_when_enough_is_free(
    limiter: CountingLimiter, clock: Clock
) -> None:
    clock.now = 1_800_000_000.0
    for _ in range(10):
        await limiter.admit([Limit("tenant:t", Window.HOUR, 100)])
        clock.now += 60
    lowered = Limit("tenant:t", Window.HOUR, 3)
    rejection = await limiter.admit([lowered])
    assert not rejection.admitted
    assert rejection.states[0].remaining == 0
    clock.now += rejection.retry_after
    assert (await limiter.admit([lowered])).admitted


async def test_a_clock_set_back_admits_nothing_more(limiter: CountingLimiter, clock: Clock) -> None:
    limits = [Limit("key:a", Window.MINUTE, 5)]
    for _ in range(5):
        await limiter.admit(limits)
    for back in (30, 60, 3600, 100_000):
        clock.now = START - back
        assert not (await limiter.admit(limits)).admitted


async def test_a_clock_set_forward_admits_one_quantity_more_at_most(
    limiter: CountingLimiter, clock: Clock
) -> None:
    limits = [Limit("key:a", Window.MINUTE, 5)]
    admitted = 0
    for jump in (0.0, 3600.0, 0.0, 1800.0):  # forward once, back, then to and fro behind it
        clock.now = START + jump
        for _ in range(20):
            admitted += (await limiter.admit(limits)).admitted
    assert admitted == 10


async def test_restored_counts_count(limiter: CountingLimiter) -> None:
    bucket = int(START // 60)
    await limiter.restore(
        [
            {"subject": "tenant:t", "window": "hour", "bucket": bucket, "count": 40},
            {"subject": "tenant:t", "window": "hour", "bucket": bucket - 60, "count": 20},
            {"subject": "tenant:t", "window": "hour", "bucket": bucket - 30, "count": 39},
        ]
    )
    assert (await limiter.admit([TENANT_HOUR])).admitted
    assert not (await limiter.admit([TENANT_HOUR])).admitted


async def test_restored_counts_that_left_the_window_do_not_count(limiter: CountingLimiter) -> None:
    old = int(START // 60) - 61
    await limiter.restore([{"subject": "tenant:t", "window": "hour", "bucket": old, "count": 100}])
    assert (await limiter.usage_of([TENANT_HOUR]))[0].remaining == 100


async def test_restored_counts_from_the_future_count_from_now(
    limiter: CountingLimiter, clock: Clock
) -> None:
    ahead = int(START // 60) + 10_000
    await limiter.restore(
        [{"subject": "tenant:t", "window": "hour", "bucket": ahead, "count": 100}]
    )
    assert not (await limiter.admit([TENANT_HOUR])).admitted
    clock.now += 3661
    assert (await limiter.admit([TENANT_HOUR])).admitted


async def test_restored_counts_leave_the_window_as_if_there_had_been_no_restart(
    limiter: CountingLimiter, clock: Clock
) -> None:
    clock.now = 1_800_000_000.0
    bucket = int(clock.now // 60)
    await limiter.restore(
        [{"subject": "tenant:t", "window": "hour", "bucket": bucket - 60, "count": 100}]
    )
    rejection = await limiter.admit([TENANT_HOUR])
    assert (rejection.admitted, rejection.retry_after) == (False, 60)
    clock.now += 60
    assert (await limiter.admit([TENANT_HOUR])).states[0].remaining == 99


CHARGE = Charge("t", 30)


async def test_a_price_is_reserved_while_the_balance_lasts(limiter: CountingLimiter) -> None:
    await limiter.set_credit("t", 100, 10)
    decisions = [await limiter.admit([TENANT_HOUR], CHARGE) for _ in range(4)]
    assert [decision.admitted for decision in decisions] == [True, True, True, False]
    assert decisions[3].no_credit
    assert not decisions[3].violated


async def test_a_call_without_credit_is_counted_nowhere(limiter: CountingLimiter) -> None:
    await limiter.set_credit("t", 29, 0)
    assert (await limiter.admit([TENANT_HOUR], CHARGE)).no_credit
    assert (await limiter.usage_of([TENANT_HOUR]))[0].remaining == 100


async def test_a_call_over_its_limit_reserves_nothing(limiter: CountingLimiter) -> None:
    await limiter.set_credit("t", 60, 0)
    once = [Limit("key:a", Window.HOUR, 1)]
    assert (await limiter.admit(once, CHARGE)).admitted
    assert (await limiter.admit(once, CHARGE)).violated
    assert (await limiter.admit([], CHARGE)).admitted


async def test_an_unknown_balance_is_asked_for(limiter: CountingLimiter) -> None:
    asked = await limiter.admit([TENANT_HOUR], CHARGE)
    assert (asked.admitted, asked.unknown_credit, asked.no_credit) == (False, True, False)
    await limiter.set_credit("t", 30, 0)
    assert (await limiter.admit([TENANT_HOUR], CHARGE)).states[0].remaining == 99


async def test_a_refund_can_be_spent_again(limiter: CountingLimiter) -> None:
    await limiter.set_credit("t", 30, 0)
    assert (await limiter.admit([], CHARGE)).admitted
    assert (await limiter.admit([], CHARGE)).no_credit
    limiter.refund(CHARGE)
    assert (await limiter.admit([], CHARGE)).admitted


async def test_what_is_granted_later_adds_and_what_was_spent_stays(
    limiter: CountingLimiter,
) -> None:
    await limiter.set_credit("t", 30, 0)
    await limiter.admit([], CHARGE)
    await limiter.set_credit("t", 60, 0)
    assert (await limiter.admit([], CHARGE)).admitted
    assert (await limiter.admit([], CHARGE)).no_credit


async def test_balances_are_exact_where_floating_point_is_not(limiter: CountingLimiter) -> None:
    large = 9_000_000_000_000_000
    await limiter.set_credit("t", large, large - 1)
    assert (await limiter.admit([], Charge("t", 2))).no_credit
    assert (await limiter.admit([], Charge("t", 1))).admitted
    assert (await limiter.admit([], Charge("t", 1))).no_credit


async def test_parallel_prices_never_pass_the_balance(limiter: CountingLimiter) -> None:
    await limiter.set_credit("t", 1000, 0)
    calls = [limiter.admit([TENANT_HOUR], CHARGE) for _ in range(200)]
    assert sum(decision.admitted for decision in await asyncio.gather(*calls)) == 33


@dataclass(frozen=True)
class Call:
    """`seconds` after the one before, against the first `windows` of the limits."""

    seconds: float
    which: int


steps = st.one_of(
    st.just(0.0),
    st.floats(0, 2),
    st.floats(0, 90),
    st.sampled_from([1.0, 59.0, 60.0, 61.0, 1440.0, 3540.0, 3600.0, 3660.0, 86_400.0, 87_840.0]),
)
calls = st.lists(st.builds(Call, steps, st.integers(1, 15)), max_size=120)
quantities = st.tuples(*(st.integers(1, 12) for _ in range(4)))


SUBJECTS = (
    ("tenant:t", Window.HOUR),
    ("tenant:t", Window.MINUTE),
    ("api:a", Window.DAY),
    ("key:k", Window.MINUTE),
)


def limits_of(quantities: tuple[int, ...]) -> list[Limit]:
    return [
        Limit(*subject, quantity) for subject, quantity in zip(SUBJECTS, quantities, strict=True)
    ]


histories = given(calls, quantities, st.floats(0, 100_000))
few = settings(max_examples=40, deadline=None)


@few
@histories
def test_no_interval_of_a_windows_length_ever_holds_more_than_the_quantity(
    opened: Open, calls: list[Call], quantities: tuple[int, ...], start: float
) -> None:
    clock = Clock(START + start)
    limits = [
        Limit(*subject, quantity) for subject, quantity in zip(SUBJECTS, quantities, strict=True)
    ]
    admitted: dict[Limit, list[float]] = {limit: [] for limit in limits}

    async def run() -> None:
        async with opened(clock) as limiter:
            for call in calls:
                clock.now += call.seconds
                asked = [limit for place, limit in enumerate(limits) if call.which >> place & 1]
                before = await limiter.usage_of(limits)
                decision = await limiter.admit(asked)
                if decision.admitted:
                    for limit in asked:
                        admitted[limit].append(clock.now)
                else:
                    assert await limiter.usage_of(limits) == before
                    assert any(state.remaining == 0 for state in decision.violated)

    asyncio.run(run())
    for limit, times in admitted.items():
        for place, begin in enumerate(times):
            inside = sum(1 for t in times[place:] if t - begin <= limit.window.seconds)
            assert inside <= limit.quantity


@few
@given(calls, st.integers(1, 12))
def test_a_rejected_call_had_a_full_window_within_its_window_and_a_sixtieth(
    opened: Open, calls: list[Call], quantity: int
) -> None:
    """Never refused without cause: the sliding window is conservative by one bucket only."""
    clock = Clock()
    limit = Limit("key:k", Window.MINUTE, quantity)
    admitted: list[float] = []

    async def run() -> None:
        async with opened(clock) as limiter:
            for call in calls:
                clock.now += call.seconds
                if (await limiter.admit([limit])).admitted:
                    admitted.append(clock.now)
                else:
                    longest = limit.window.seconds * 61 / 60
                    recent = [t for t in admitted if clock.now - t < longest]
                    assert len(recent) >= quantity

    asyncio.run(run())


@few
@histories
def test_both_decide_the_same(
    shared_redis: RedisServer, calls: list[Call], quantities: tuple[int, ...], start: float
) -> None:
    clock = Clock(START + start)
    limits = [
        Limit(*subject, quantity) for subject, quantity in zip(SUBJECTS, quantities, strict=True)
    ]

    async def run() -> None:
        async with memory(clock) as one, shared(clock, shared_redis) as other:
            for call in calls:
                clock.now += call.seconds
                asked = [limit for place, limit in enumerate(limits) if call.which >> place & 1]
                assert await one.admit(asked) == await other.admit(asked)

    asyncio.run(run())
