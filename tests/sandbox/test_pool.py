"""Decisions about the pool."""

from hypothesis import given
from hypothesis import strategies as st

from sandbox import pool
from sandbox.pool import Key, Member, Policy, Status
from sandbox.types import Resources, Tier

BIG = Resources(memory_mb=1024)
PLAIN = Key()
LAYERED = Key(layer="sha256")
POLICY = Policy(
    blanks=2,
    maximum=5,
    lease_seconds=60,
    freeze_seconds=2,
    idle_seconds=600,
    grace_seconds=5,
    parallel_launches=2,
    tenant_max=2,
)
WANTED = {PLAIN: 2, LAYERED: 1}

members = st.lists(
    st.builds(
        Member,
        sandbox_id=st.uuids().map(str),
        status=st.sampled_from(Status),
        resources=st.sampled_from([Resources(), BIG]),
        reserved=st.booleans(),
        renewed_at=st.floats(0, 1000),
        key=st.sampled_from([PLAIN, LAYERED, Key(Tier.GVISOR)]),
        tenant_id=st.sampled_from(["a", "b", ""]),
        frozen=st.booleans(),
        can_freeze=st.booleans(),
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
    key: Key = PLAIN,
    tenant_id: str = "",
) -> Member:
    return Member(name, status, resources or Resources(), reserved, renewed_at, key, tenant_id)


# --- blanks


def test_an_empty_pool_launches_as_many_as_may_launch_at_once() -> None:
    assert pool.blanks_to_launch([], POLICY, {PLAIN: 10}) == [PLAIN, PLAIN]


def test_reserved_blanks_do_not_count_as_free() -> None:
    them = [member("a", Status.BLANK, reserved=True)]
    assert pool.blanks_to_launch(them, POLICY, {PLAIN: 2}) == [PLAIN, PLAIN]


def test_each_key_gets_its_own_blanks() -> None:
    them = [member("a", Status.BLANK), member("b", Status.BLANK)]
    assert pool.blanks_to_launch(them, POLICY, WANTED) == [LAYERED]


@given(members)
def test_refilling_never_exceeds_the_maximum_or_the_wanted_number(them: list[Member]) -> None:
    launched = pool.blanks_to_launch(them, POLICY, WANTED)
    assert len(launched) <= POLICY.parallel_launches
    assert not launched or len(them) + len(launched) <= POLICY.maximum
    for key in set(launched):
        free = sum(1 for one in them if pool.is_free(one) and one.key == key)
        assert free + launched.count(key) <= WANTED[key]


def test_a_warm_blank_is_preferred_to_one_on_its_way() -> None:
    both = [member("coming", Status.LAUNCHING), member("warm", Status.BLANK)]
    assert pool.choose_blank(both, PLAIN, Resources()) == "warm"


def test_a_blank_on_its_way_is_better_than_none() -> None:
    coming = [member("coming", Status.LAUNCHING)]
    assert pool.choose_blank(coming, PLAIN, Resources()) == "coming"


def test_a_blank_of_the_right_size_is_preferred_to_one_to_be_resized() -> None:
    both = [member("big", Status.BLANK, resources=BIG), member("usual", Status.BLANK)]
    assert pool.choose_blank(both, PLAIN, Resources()) == "usual"
    assert pool.choose_blank(both, PLAIN, BIG) == "big"


def test_a_blank_of_another_key_or_somebody_elses_is_not_taken() -> None:
    them = [
        member("layered", Status.BLANK, key=LAYERED),
        member("taken", Status.BLANK, reserved=True),
        member("ready"),
    ]
    assert pool.choose_blank(them, PLAIN, Resources()) is None


# --- room


def test_the_lease_that_ended_longest_ago_makes_room() -> None:
    them = [member("a", renewed_at=10), member("b", renewed_at=5), member("c", renewed_at=95)]
    assert pool.choose_victim(them, POLICY, now=100) == "b"


def test_the_tenant_with_most_idle_ones_makes_room() -> None:
    them = [
        member("lone", tenant_id="small", renewed_at=0),
        member("newer", tenant_id="large", renewed_at=20),
        member("older", tenant_id="large", renewed_at=10),
    ]
    assert pool.choose_victim(them, POLICY, now=100) == "older"


def test_a_living_lease_never_makes_room() -> None:
    assert pool.choose_victim([member("a", renewed_at=50)], POLICY, now=100) is None


def test_an_unused_blank_makes_room_for_code() -> None:
    assert pool.choose_victim([member("blank", Status.BLANK)], POLICY, now=0) == "blank"


def test_a_tenant_is_full_with_what_it_runs_and_starts_over_all_its_apis() -> None:
    them = [
        member("ready", tenant_id="a"),
        member("coming", Status.LAUNCHING, reserved=True, tenant_id="a"),
    ]
    assert pool.tenant_is_full(them, POLICY, "a")
    assert not pool.tenant_is_full(them, POLICY, "b")


def test_a_worn_sandbox_leaves_room_for_the_one_that_replaces_it() -> None:
    them = [member("worn", Status.WORN, tenant_id="a"), member("ready", tenant_id="a")]
    assert not pool.tenant_is_full(them, POLICY, "a")


def test_a_full_tenant_makes_room_with_its_own() -> None:
    them = [member("other", tenant_id="b"), member("own", tenant_id="a", renewed_at=10)]
    assert pool.choose_own_victim(them, POLICY, "a", now=100) == "own"
    assert pool.choose_own_victim(them, POLICY, "a", now=20) is None


# --- leases


@given(members, st.floats(0, 2000))
def test_nobody_whose_lease_runs_is_ended_frozen_or_evicted(them: list[Member], now: float) -> None:
    chosen = set(pool.to_expire(them, POLICY, now)) | set(pool.to_freeze(them, POLICY, now))
    chosen |= {pool.choose_victim(them, POLICY, now) or ""}
    for one in them:
        leased = one.status is Status.READY and now - one.renewed_at < POLICY.lease_seconds
        if leased or one.status in (Status.STARTING, Status.WORN, Status.STOPPING):
            assert one.sandbox_id not in chosen


def test_one_is_frozen_a_moment_after_its_lease_and_once() -> None:
    idle = member("a")
    assert pool.to_freeze([idle], POLICY, now=61) == []
    assert pool.to_freeze([idle], POLICY, now=62) == ["a"]


def test_what_cannot_be_frozen_is_not() -> None:
    one = Member("a", Status.READY, Resources(), False, 0.0, can_freeze=False)
    assert pool.to_freeze([one], POLICY, now=1000) == []
    assert pool.to_expire([one], POLICY, now=665) == ["a"]
