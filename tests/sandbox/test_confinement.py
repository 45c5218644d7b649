"""Who is kept to few processors, to which, and for how long."""

import pytest

from sandbox.confinement import Confinement
from sandbox.runtimes.base import Throttling
from tests.support.limiters import Clock


class Sandbox:
    """Counts its periods as the kernel does."""

    def __init__(self, name: str, cpus: float = 1.0) -> None:
        self.name, self.cpus, self.seen = name, cpus, Throttling(0, 0)

    def look(self, made: Confinement, throttled: int, periods: int = 10) -> frozenset[int] | None:
        """What is decided after so many more periods."""
        seen = self.seen
        self.seen = Throttling(seen.periods + periods, seen.throttled + throttled)
        return made.judge(self.name, self.seen, self.cpus)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def greedy(made: Confinement, name: str, cpus: float = 1.0) -> frozenset[int] | None:
    sandbox = Sandbox(name, cpus)
    sandbox.look(made, 0)
    return sandbox.look(made, 9)


def test_what_was_before_the_first_look_does_not_count(clock: Clock) -> None:
    assert Sandbox("one").look(Confinement([0, 1], clock), 10) is None


def test_one_within_its_share_goes_where_it_likes(clock: Clock) -> None:
    made, one = Confinement([0, 1], clock), Sandbox("one")
    assert [one.look(made, 1) for _ in range(5)] == [None] * 5
    assert not made.is_confined("one")


def test_one_that_does_nothing_is_not_greedy(clock: Clock) -> None:
    made, one = Confinement([0, 1], clock), Sandbox("one")
    assert [one.look(made, 0, periods=0) for _ in range(3)] == [None] * 3


@pytest.mark.parametrize(
    ("cpus", "cores", "kept_to"),
    [
        (0.25, [0, 1], {0}),
        (1.0, [0, 1], {0}),
        (1.5, [0, 1, 2, 3], {0, 1}),
        (1.5, [0, 1], None),
        (8.0, [0, 1], None),
        (1.0, [5, 3], {3}),
        (1.0, [0], None),
    ],
)
def test_a_greedy_one_gets_as_many_as_it_has_shares_of_unless_that_is_all(
    cpus: float, cores: list[int], kept_to: set[int] | None, clock: Clock
) -> None:
    made = Confinement(cores, clock)
    found = greedy(made, "one", cpus)
    assert found == (None if kept_to is None else frozenset(kept_to))
    assert made.is_confined("one") == (kept_to is not None)


def test_greedy_ones_do_not_share_a_processor_while_others_are_free(clock: Clock) -> None:
    made = Confinement([0, 1, 2], clock)
    assert [greedy(made, name) for name in "abcd"] == [frozenset({core}) for core in (0, 1, 2, 0)]


def test_it_is_said_again_as_long_as_it_holds_and_the_processor_stays(clock: Clock) -> None:
    made, one = Confinement([0, 1], clock), Sandbox("one")
    one.look(made, 0)
    said = set()
    for throttled in (9, 9, 0, 0, 0):
        said.add(one.look(made, throttled))
        clock.now += 10
    assert said == {frozenset({0})}


def test_who_was_content_for_long_is_let_go_once(clock: Clock) -> None:
    made, one = Confinement([0, 1], clock), Sandbox("one")
    one.look(made, 0)
    one.look(made, 9)
    clock.now += 30.5
    assert one.look(made, 0) == frozenset({0, 1})
    assert not made.is_confined("one")
    assert one.look(made, 0) is None


def test_those_that_are_gone_leave_their_processor(clock: Clock) -> None:
    made = Confinement([0, 1], clock)
    greedy(made, "a")
    made.keep({"b"})
    assert greedy(made, "b") == frozenset({0})


@pytest.mark.parametrize(("cores", "is_of_use"), [([0], False), ([0, 1], True)])
def test_with_one_processor_there_is_nothing_to_do(
    cores: list[int], is_of_use: bool, clock: Clock
) -> None:
    assert Confinement(cores, clock).is_of_use is is_of_use
