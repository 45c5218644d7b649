"""Named timers, on a clock of the test's own."""

from sandbox.runner.timers import Timers


class Clock:
    """Stands until it is moved."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_timer_fires_once_when_it_is_due() -> None:
    clock, fired = Clock(), list[str]()
    timers = Timers(clock)
    assert timers.left() is None
    timers.set("a", 5, lambda: fired.append("a"))
    timers.set("b", 2, lambda: fired.append("b"))
    assert timers.left() == 2
    clock.now = 103
    timers.fire()
    assert (fired, timers.left(), "a" in timers, "b" in timers) == (["b"], 2, True, False)
    clock.now = 200
    assert timers.left() == 0
    timers.fire()
    timers.fire()
    assert fired == ["b", "a"]


def test_setting_again_moves_and_cancelling_forgets() -> None:
    clock, fired = Clock(), list[str]()
    timers = Timers(clock)
    timers.set("a", 1, lambda: fired.append("early"))
    timers.set("a", 9, lambda: fired.append("late"))
    timers.set("b", 1, lambda: fired.append("b"))
    timers.cancel("b")
    timers.cancel("never set")
    clock.now = 105
    timers.fire()
    assert fired == []


def test_an_action_may_cancel_or_set_what_is_due_as_well() -> None:
    clock, fired = Clock(), list[str]()
    timers = Timers(clock)

    def act() -> None:
        timers.cancel("b")
        timers.set("a", 0, act)

    timers.set("a", 1, act)
    timers.set("b", 1, lambda: fired.append("b"))
    clock.now = 102
    timers.fire()
    assert fired == []
    assert timers.left() == 0
