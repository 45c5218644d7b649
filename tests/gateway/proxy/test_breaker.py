"""A version that keeps failing is spared; one call at a time looks whether it is well again."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gateway.errors import NoCapacityError, SandgateError
from gateway.proxy import breaker
from gateway.proxy.breaker import FAILURES, ApiUnhealthyError, Breaker, is_failure
from gateway.proxy.errors import (
    ApiBadResponseError,
    ApiCrashLoopError,
    ApiDiedError,
    ApiPausedError,
    ApiStartFailedError,
    ApiTimeoutError,
    BodyTooLargeError,
    ClientGoneError,
    QueueFullError,
    UnreadError,
    UploadTooSlowError,
)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def open_one(clock: Clock) -> Breaker:
    """After so many failures of "v"."""
    one = Breaker(clock)
    for _ in range(FAILURES):
        assert not one.admit("v")
        one.failed("v", 0)
    return one


def refused(one: Breaker, version: str = "v") -> str:
    """Retry-After of the refusal."""
    with pytest.raises(ApiUnhealthyError) as caught:
        one.admit(version)
    assert (caught.value.status, caught.value.code) == (503, "api_unhealthy")
    return caught.value.headers["Retry-After"]


def test_calls_pass_until_enough_have_failed_in_a_row(clock: Clock) -> None:
    one = Breaker(clock)
    for _ in range(3):
        for _ in range(FAILURES - 1):
            one.failed("v", 0)
        assert not one.admit("v")
        one.succeeded("v")
    assert len(one) == 0


def test_calls_that_one_sandbox_took_along_count_once(clock: Clock) -> None:
    one = Breaker(clock)
    began = clock.now
    clock.now += 1
    for _ in range(100):
        one.failed("v", 0, began)
    assert not one.admit("v")
    for _ in range(FAILURES - 1):
        began = clock.now + 0.1
        clock.now += 1
        one.failed("v", 0, began)
    refused(one)


def test_then_they_are_refused_with_the_time_that_is_left(open_one: Breaker, clock: Clock) -> None:
    assert refused(open_one) == "5"
    clock.now += 3.5
    assert refused(open_one) == "2"
    assert not open_one.admit("another")


def test_one_call_looks_and_the_others_still_wait(open_one: Breaker, clock: Clock) -> None:
    clock.now += 5
    assert open_one.admit("v")
    assert refused(open_one) == "1"
    open_one.succeeded("v")
    assert not open_one.admit("v")
    assert len(open_one) == 0


def test_each_look_that_fails_doubles_the_wait_up_to_a_minute(
    open_one: Breaker, clock: Clock
) -> None:
    waits = []
    for _ in range(6):
        waits.append(int(refused(open_one)))
        clock.now += waits[-1]
        open_one.failed("v", open_one.admit("v"))
    assert waits == [5, 10, 20, 40, 60, 60]


def test_a_look_that_taught_nothing_is_repeated(open_one: Breaker, clock: Clock) -> None:
    clock.now += 5
    open_one.abandoned("v", open_one.admit("v"))
    assert open_one.admit("v")


def test_a_look_that_never_ended_is_repeated_after_a_while(open_one: Breaker, clock: Clock) -> None:
    clock.now += 5
    assert open_one.admit("v")
    clock.now += 59
    assert refused(open_one) == "1"
    clock.now += 1
    assert open_one.admit("v")


def test_a_look_given_up_as_lost_does_not_end_the_next_one(open_one: Breaker, clock: Clock) -> None:
    clock.now += 5
    lost = open_one.admit("v")
    clock.now += breaker.PROBE_SECONDS
    assert open_one.admit("v")
    open_one.failed("v", lost)
    open_one.abandoned("v", lost)
    assert refused(open_one) == "1"


def test_calls_that_were_under_way_neither_lengthen_the_wait_nor_end_a_look(
    open_one: Breaker, clock: Clock
) -> None:
    clock.now += 4
    open_one.failed("v", 0)
    assert refused(open_one) == "1"
    clock.now += 1
    assert open_one.admit("v")
    open_one.failed("v", 0)
    open_one.abandoned("v", 0)
    assert refused(open_one) == "1"


def test_failures_of_long_ago_are_forgotten(clock: Clock) -> None:
    one = Breaker(clock)
    for _ in range(FAILURES - 1):
        one.failed("v", 0)
    clock.now += breaker.FORGOTTEN_SECONDS + 1
    one.failed("v", 0)
    assert not one.admit("v")


def test_it_never_remembers_more_than_it_may(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(breaker, "MAX_KNOWN", 3)
    one = Breaker(clock)
    for n in range(10):
        one.failed(f"v{n}", 0)
    assert len(one) == 3


@pytest.mark.parametrize(
    ("error", "counts"),
    [
        (ApiDiedError(), True),
        (UnreadError(), True),
        (ApiBadResponseError(), True),
        (ApiTimeoutError(), True),
        (ApiStartFailedError(), True),
        (ApiCrashLoopError(3, "crash", 5), False),  # known already, with a time of its own
        (ApiPausedError(), False),
        (QueueFullError(), False),
        (NoCapacityError(), False),
        (ClientGoneError(), False),
        (UploadTooSlowError(), False),
        (BodyTooLargeError(1), False),
        (SandgateError(), False),
    ],
)
def test_only_what_the_sandbox_got_wrong_counts(error: SandgateError, counts: bool) -> None:
    assert is_failure(error) is counts


class Machine(RuleBasedStateMachine):
    """Calls of one version begin and end in any order while time goes by."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.breaker = Breaker(self.clock)
        self.told = 1
        self.under_way: list[tuple[int, float]] = []  # number of the one that looks, since when

    def looking(self) -> int:
        """Calls that look and are not overdue."""
        return sum(
            probe > 0 and self.clock.now < since + breaker.PROBE_SECONDS
            for probe, since in self.under_way
        )

    @rule()
    def begin(self) -> None:
        try:
            self.under_way.append((self.breaker.admit("v"), self.clock.now))
        except ApiUnhealthyError as error:
            self.told = int(error.headers["Retry-After"])

    @precondition(lambda self: self.under_way)
    @rule(data=st.data(), how=st.sampled_from(["succeeded", "failed", "abandoned"]))
    def end(self, data: st.DataObject, how: str) -> None:
        at = data.draw(st.integers(0, len(self.under_way) - 1))
        probe, _ = self.under_way.pop(at)
        if how == "succeeded":
            self.breaker.succeeded("v")
            self.under_way = [(0, since) for _, since in self.under_way]
        elif how == "failed":
            self.breaker.failed("v", probe)
        else:
            self.breaker.abandoned("v", probe)

    @rule(seconds=st.sampled_from([0.5, 5.0, 61.0]))
    def time_goes_by(self, seconds: float) -> None:
        self.clock.now += seconds

    @rule()
    def it_never_stays_shut(self) -> None:
        """After the longest wait somebody may look, whatever became of the others."""
        self.clock.now += breaker.LONGEST_SECONDS + breaker.PROBE_SECONDS
        self.under_way.append((self.breaker.admit("v"), self.clock.now))

    @invariant()
    def who_is_refused_may_come_again_soon(self) -> None:
        assert 1 <= self.told <= breaker.LONGEST_SECONDS

    @invariant()
    def one_looks_at_a_time(self) -> None:
        assert self.looking() <= 1


Machine.TestCase.settings = settings(max_examples=30, stateful_step_count=40, deadline=None)
TestAnyOrder = Machine.TestCase
