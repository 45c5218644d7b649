"""The bucket: what is there is given at once, debts are waited for, bankrupts are refused."""

from gateway.data.bucket import LONGEST_WAIT, Bucket, price


class ManualClock:
    """Time that moves only when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_what_is_there_is_given_at_once() -> None:
    bucket = Bucket(ManualClock(), per_second=10, burst=5)
    assert [bucket.take(1) for _ in range(5)] == [0.0] * 5


def test_a_debt_is_waited_for() -> None:
    clock = ManualClock()
    bucket = Bucket(clock, per_second=10, burst=5)
    bucket.charge(10)
    assert bucket.take(1) == 0.6
    clock.now += 10
    assert bucket.take(1) == 0


def test_too_long_a_wait_is_refused_and_costs_nothing() -> None:
    clock = ManualClock()
    bucket = Bucket(clock, per_second=10, burst=5)
    bucket.charge(5 + 10 * LONGEST_WAIT)
    assert [bucket.take(1) for _ in range(100)] == [None] * 100
    clock.now += 0.2
    assert bucket.take(1) is not None


def test_it_fills_up_to_its_brim() -> None:
    clock = ManualClock()
    bucket = Bucket(clock, per_second=10, burst=5)
    assert bucket.is_full
    bucket.charge(1)
    assert not bucket.is_full
    clock.now += 100
    assert bucket.is_full
    bucket.take(5)
    assert bucket.take(1) == 0.1


def test_large_requests_cost_more() -> None:
    assert (price(10), price(4096), price(256 * 1024)) == (1, 2, 65)
