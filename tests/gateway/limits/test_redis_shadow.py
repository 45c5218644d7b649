"""What a gateway admits while it is alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.limits.policy import KINDS, Failure, parse_failure
from gateway.limits.redis_shadow import Shadow
from gateway.limits.types import Limit, LimitsUnavailableError, Window
from tests.support.limiters import Clock

MINUTE = Limit("tenant:t", Window.MINUTE, 10)
counts = st.lists(st.integers(0, 40), min_size=1, max_size=6)


def knowing(total: int, gateways: int, clock: Clock) -> Shadow:
    shadow = Shadow(clock, dict.fromkeys(KINDS, Failure.ESTIMATE))
    shadow.gateways = gateways
    shadow.learn(MINUTE, total, int(clock.now))
    return shadow


@given(st.integers(1, 6), st.integers(0, 10), st.lists(st.integers(0, 5), max_size=60))
def test_gateways_that_know_the_total_never_pass_the_limit_together(
    gateways: int, total: int, callers: list[int]
) -> None:
    clock = Clock()
    shadows = [knowing(total, gateways, clock) for _ in range(gateways)]
    admitted = sum(shadows[who % gateways].decide([MINUTE]).admitted for who in callers)
    assert total + admitted <= MINUTE.quantity


@given(counts, st.lists(st.integers(0, 5), max_size=60))
def test_gateways_that_know_less_pass_it_by_what_they_missed_at_most(
    known: list[int], callers: list[int]
) -> None:
    clock = Clock()
    totals = [min(total, MINUTE.quantity) for total in known]
    shadows = [knowing(total, len(totals), clock) for total in totals]
    admitted = sum(shadows[who % len(totals)].decide([MINUTE]).admitted for who in callers)
    missed = sum(max(totals) - total for total in totals)
    assert max(totals) + admitted <= MINUTE.quantity + missed / len(totals)


@given(st.lists(st.floats(0, 40), max_size=80))
def test_alone_no_interval_of_the_windows_length_holds_more(pauses: list[float]) -> None:
    clock = Clock()
    shadow = knowing(0, 1, clock)
    times = []
    for pause in pauses:
        clock.now += pause
        if shadow.decide([MINUTE]).admitted:
            times.append(clock.now)
    for begin in times:
        assert sum(begin <= time <= begin + 60 for time in times) <= MINUTE.quantity


def test_what_was_seen_counts_for_a_whole_window() -> None:
    clock = Clock()
    shadow = knowing(10, 1, clock)
    clock.now += 60
    refused = shadow.decide([MINUTE])
    assert (refused.admitted, refused.retry_after) == (False, 2)
    clock.now += 2
    assert shadow.decide([MINUTE]).admitted


def test_nothing_is_known_until_the_database_was_asked() -> None:
    shadow = Shadow(Clock())
    with pytest.raises(LimitsUnavailableError):
        shadow.decide([MINUTE])
    shadow.raise_to([])
    assert shadow.decide([MINUTE]).admitted


def test_beside_others_only_an_estimate_admits() -> None:
    """Nobody can tell what the others admitted since the store went."""
    shadow = Shadow(Clock())
    shadow.learn(MINUTE, 0, 1000)
    shadow.gateways = 2
    with pytest.raises(LimitsUnavailableError):
        shadow.decide([MINUTE])


def test_one_of_several_judges_by_what_is_new_only() -> None:
    clock = Clock()
    shadow = knowing(0, 2, clock)
    assert shadow.decide([MINUTE]).admitted
    clock.now += 10
    with pytest.raises(LimitsUnavailableError):
        shadow.decide([MINUTE])


def test_the_database_raises_what_is_known_and_never_lowers_it() -> None:
    clock = Clock()
    shadow = knowing(7, 1, clock)
    row = {"subject": "tenant:t", "window": "minute", "bucket": int(clock.now), "count": 9}
    shadow.raise_to([{**row, "count": 3}])
    shadow.raise_to([row, {**row, "bucket": int(clock.now) - 61}])
    assert [shadow.decide([MINUTE]).admitted for _ in range(2)] == [True, False]


def test_debts_are_paid_once_and_known_from_then_on() -> None:
    shadow = knowing(5, 1, Clock())
    shadow.decide([MINUTE])
    shadow.decide([MINUTE])
    shadow.forgive([MINUTE])
    (debt,) = shadow.debts()
    assert debt.total == 1
    shadow.paid([debt])
    assert not shadow.has_debts
    assert [known.total for known in shadow.known()] == [6]


@given(st.integers(1, 5), st.lists(st.integers(0, 4), max_size=60))
def test_gateways_tell_a_store_without_memory_enough_together(
    gateways: int, callers: list[int]
) -> None:
    shadows = [knowing(3, gateways, Clock()) for _ in range(gateways)]
    admitted = sum(shadows[who % gateways].decide([MINUTE]).admitted for who in callers)
    told = max(debt.total for shadow in shadows for debt in shadow.told())
    assert 3 + admitted <= told <= MINUTE.quantity


def test_what_left_its_window_is_forgotten() -> None:
    clock = Clock()
    shadow = knowing(5, 1, clock)
    for _ in range(3):
        clock.now += 100
        shadow.rotate()
    assert len(shadow) == 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("deny", [Failure.DENY] * 3),
        ("share,key=allow", [Failure.SHARE, Failure.SHARE, Failure.ALLOW]),
        ("tenant=deny, api=allow", [Failure.DENY, Failure.ALLOW, Failure.SHARE]),
    ],
)
def test_policies_by_kind(text: str, expected: list[Failure]) -> None:
    assert [parse_failure(text)[kind] for kind in KINDS] == expected


@pytest.mark.parametrize("text", ["open", "user=deny", "key=", "=deny"])
def test_policies_that_make_no_sense(text: str) -> None:
    with pytest.raises(ValueError, match="share"):
        parse_failure(text)
