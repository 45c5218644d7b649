"""Limits on attempts slide, are all-or-nothing and cost nothing when refused."""

import pytest

from gateway.auth.issuer.attempts import Allowance, Attempts, address_subject
from gateway.auth.issuer.errors import TooManyAttemptsError

ACCOUNT = Allowance("account:a@b.example", 2)
ADDRESS = Allowance("address:192.0.2.1", 3)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def attempts(clock: Clock) -> Attempts:
    return Attempts(300, clock)


def test_the_quantity_is_admitted_and_the_next_refused(attempts: Attempts) -> None:
    attempts.take([ACCOUNT])
    attempts.take([ACCOUNT])
    with pytest.raises(TooManyAttemptsError):
        attempts.take([ACCOUNT])


def test_refusal_says_when_the_oldest_attempt_leaves_the_window(
    attempts: Attempts, clock: Clock
) -> None:
    attempts.take([ACCOUNT])
    clock.now += 100
    attempts.take([ACCOUNT])
    with pytest.raises(TooManyAttemptsError) as refused:
        attempts.take([ACCOUNT])
    assert refused.value.headers["Retry-After"] == "200"
    clock.now += 200
    attempts.take([ACCOUNT])


def test_refused_by_one_allowance_counts_in_none(attempts: Attempts) -> None:
    attempts.take([ACCOUNT])
    attempts.take([ACCOUNT])
    for _ in range(10):
        with pytest.raises(TooManyAttemptsError):
            attempts.take([ACCOUNT, ADDRESS])
    for _ in range(3):
        attempts.take([ADDRESS])


def test_attempts_given_back_do_not_count(attempts: Attempts) -> None:
    for _ in range(10):
        attempts.give_back([ACCOUNT, ADDRESS], attempts.take([ACCOUNT, ADDRESS]))


def test_only_the_named_failures_stay_counted(attempts: Attempts) -> None:
    for failure in (KeyError, ValueError, ValueError):
        with pytest.raises(failure), attempts.counted([ACCOUNT], (ValueError,)):
            raise failure
    with pytest.raises(TooManyAttemptsError):
        attempts.take([ACCOUNT])


def test_attempts_side_by_side_are_counted_from_their_beginning(attempts: Attempts) -> None:
    with (
        attempts.counted([ACCOUNT], ()),
        attempts.counted([ACCOUNT], ()),
        pytest.raises(TooManyAttemptsError),
    ):
        attempts.take([ACCOUNT])
    attempts.take([ACCOUNT])


@pytest.mark.parametrize(
    ("host", "subject"),
    [
        ("192.0.2.7", "address:192.0.2.7"),
        ("::ffff:192.0.2.7", "address:192.0.2.7"),
        ("2001:db8:1:2::5", "address:20010db800010002::/64"),
        ("2001:db8:1:2:ffff::9", "address:20010db800010002::/64"),
        ("fe80::1%eth0", "address:fe80000000000000::/64"),
        ("somewhere", "address:unknown"),
        (None, "address:unknown"),
    ],
)
def test_an_ipv6_network_counts_as_one_address(host: str | None, subject: str) -> None:
    assert address_subject(host) == subject
