"""Decisions about the pool."""

from hypothesis import given
from hypothesis import strategies as st

from sandbox import pool
from sandbox.pool import Crashes, Member, Policy, Status
from sandbox.types import Resources

BIG = Resources(memory_mb=1024)
POLICY = Policy(blanks=2, maximum=5, idle_seconds=60, grace_seconds=5, parallel_launches=2)

members = st.lists(
    st.builds(
        Member,
        sandbox_id=st.uuids().map(str),
        status=st.sampled_from(Status),
        resources=st.sampled_from([Resources(), BIG]),
        reserved=st.booleans(),
        renewed_at=st.floats(0, 1000),
    ),
    max_size=8,
)


def member(
    name: str,
    status: Status = Status.READY,
    *,
    resources: Resources | None = None,
    reserved: bool = False,
    renewed_at: float = 0.0,
) -> Member:
    return Member(name, status, resources or Resources(), reserved, renewed_at)


def test_an_empty_pool_launches_as_many_as_may_launch_at_once() -> None:
    assert pool.blanks_to_launch([], Policy(blanks=10, parallel_launches=2)) == 2


def test_reserved_blanks_do_not_count_as_free() -> None:
    assert pool.blanks_to_launch([member("a", Status.BLANK, reserved=True)], POLICY) == 2


@given(members)
def test_refilling_never_exceeds_the_maximum_or_the_wanted_number(them: list[Member]) -> None:
    count = pool.blanks_to_launch(them, POLICY)
    assert 0 <= count <= POLICY.blanks
    assert count == 0 or len(them) + count <= POLICY.maximum


def test_a_warm_blank_is_preferred_to_one_on_its_way() -> None:
    both = [member("coming", Status.LAUNCHING), member("warm", Status.BLANK)]
    assert pool.choose_blank(both, Resources()) == "warm"


def test_a_blank_on_its_way_is_better_than_none() -> None:
    assert pool.choose_blank([member("coming", Status.LAUNCHING)], Resources()) == "coming"


def test_a_blank_of_another_size_or_somebody_elses_is_not_taken() -> None:
    them = [
        member("big", Status.BLANK, resources=BIG),
        member("taken", Status.BLANK, reserved=True),
        member("ready"),
    ]
    assert pool.choose_blank(them, Resources()) is None


def test_the_lease_that_ended_longest_ago_makes_room() -> None:
    them = [member("a", renewed_at=10), member("b", renewed_at=5), member("c", renewed_at=95)]
    assert pool.choose_victim(them, POLICY, now=100) == "b"


def test_a_living_lease_never_makes_room() -> None:
    assert pool.choose_victim([member("a", renewed_at=50)], POLICY, now=100) is None


def test_an_unused_blank_makes_room_for_code() -> None:
    assert pool.choose_victim([member("blank", Status.BLANK)], POLICY, now=0) == "blank"


@given(members, st.floats(0, 2000))
def test_nobody_whose_lease_runs_is_ended(them: list[Member], now: float) -> None:
    ended = set(pool.to_expire(them, POLICY, now))
    for one in them:
        if one.status is not Status.READY or now - one.renewed_at < POLICY.idle_seconds:
            assert one.sandbox_id not in ended


def test_five_crashes_within_the_window_stop_starts_until_the_first_is_old() -> None:
    crashes = Crashes()
    for at in range(5):
        assert crashes.wait(at) == 0
        crashes = crashes.add(at)
    assert crashes.wait(4) == 6
    assert crashes.wait(10) == 0
    assert crashes.is_over(14)
