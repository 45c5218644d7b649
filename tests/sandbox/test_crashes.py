"""How long what keeps crashing is left alone."""

from hypothesis import given
from hypothesis import strategies as st

from sandbox.crashes import CrashRecord, FailedStarts, back_off
from sandbox.troubles import Troubles
from sandbox.types import (
    CrashLoopError,
    EndReason,
    SandboxSpec,
    StartFailedError,
    StartFailure,
)
from tests.support.managing import spec

CPU = EndReason.CPU


def refused(troubles: Troubles, now: float, one: SandboxSpec | None = None) -> Exception | None:
    try:
        troubles.refuse(one or spec(), now)
    except (CrashLoopError, StartFailedError) as error:
        return error
    return None


def test_the_back_off_doubles_to_a_minute() -> None:
    assert [back_off(n) for n in range(10)] == [0, 0, 1, 2, 4, 8, 16, 32, 60, 60]
    assert back_off(10**9) == 60


def test_the_first_crash_restarts_at_once_and_the_second_waits() -> None:
    once = CrashRecord().add(100, 5, CPU, "spin")
    assert once.wait(100) == 0
    twice = once.add(100, 5, CPU, "spin")
    assert twice.wait(100.5) == 0.5
    assert twice.wait(101) == 0


def test_one_that_lived_for_a_minute_starts_with_a_clean_slate() -> None:
    record = CrashRecord().add(0, 1, CPU, "").add(1, 1, CPU, "").add(2, 1, CPU, "")
    assert record.count == 3
    assert record.add(70, 60, CPU, "").count == 1


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 120)), max_size=30))
def test_waiting_is_never_negative_and_never_over_a_minute(ends: list[tuple[float, float]]) -> None:
    record, now = CrashRecord(), 0.0
    for pause, lived in ends:
        now += pause
        record = record.add(now, lived, CPU, "")
        assert 0 <= record.wait(now) <= 60
        assert record.wait(now + 61) == 0


def test_a_crash_loop_tells_what_how_often_and_until_when() -> None:
    troubles = Troubles()
    for _ in range(3):
        troubles.crashed(spec(), 100.0, 1.0, EndReason.CRASH, "x")
    troubles.explained(spec(), EndReason.MEMORY, "it used more than its 256 MB of memory")
    error = refused(troubles, 101.0)
    assert isinstance(error, CrashLoopError)
    assert (error.end, error.crashes, error.retry_seconds) == (EndReason.MEMORY, 3, 1.0)
    assert "256 MB" in error.reason
    assert refused(troubles, 102.0) is None


def test_instances_of_a_version_crash_together_and_a_reload_is_new() -> None:
    troubles = Troubles()
    for instance in range(2):
        one = SandboxSpec("api", "v1", 1, instance=instance)
        troubles.crashed(one, 100.0, 1.0, CPU, "x")
    assert refused(troubles, 100.0, SandboxSpec("api", "v1", 1, instance=7))
    assert refused(troubles, 100.0, SandboxSpec("api", "v1", 2)) is None


def test_a_start_that_fails_after_crashes_is_one_more() -> None:
    troubles = Troubles()
    error = StartFailedError(StartFailure.EXCEPTION, "no database")
    troubles.start_failed(spec(), 100.0, error)
    assert refused(troubles, 100.0) is None  # it never ran: no crash loop
    troubles.crashed(spec(), 100.0, 1.0, CPU, "x")
    troubles.start_failed(spec(), 100.0, error)
    again = refused(troubles, 100.5)
    assert isinstance(again, CrashLoopError)
    assert "no database" in again.reason


def test_five_failed_starts_within_the_window_stop_starts_until_the_first_is_old() -> None:
    failed = FailedStarts()
    for at in range(5):
        assert failed.wait(at) == 0
        failed = failed.add(at)
    assert failed.wait(4) == 6
    assert failed.wait(10) == 0
    assert failed.is_over(14)


def test_old_troubles_are_forgotten() -> None:
    troubles = Troubles()
    troubles.crashed(spec(), 0.0, 1.0, CPU, "x")
    troubles.start_failed(spec(), 0.0, StartFailedError(StartFailure.EXITED, "x"))
    troubles.forget_old(1000.0)
    assert vars(troubles) == vars(Troubles())
