"""Which calls are cancelled and when all ends, told as a sequence of looks."""

from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.runner.budget import LOOK_EVERY, PATIENCE, SECOND, Budget, Call, Decision, Look
from sandbox.runner.endings import CRASH
from sandbox.types import EndReason

numbers = st.integers(-(2**63), 2**63 - 1)
calls = st.builds(Call, st.integers(0, 3), numbers, numbers, numbers, numbers, st.booleans())
looks = st.lists(
    st.builds(Look, numbers, numbers, st.lists(calls, max_size=4).map(tuple), numbers, numbers),
    max_size=6,
)


def at(seconds: float, *running: Call, cpu: float = 0.0, ended_time: float = 0.0) -> Look:
    return Look(int(seconds * SECOND), int(cpu * SECOND), running, 0, int(ended_time * SECOND))


def call(
    slot: int = 0,
    *,
    deadline: float = 0,
    held: float = 0,
    streaming: bool = False,
    start: float = 0,
) -> Call:
    begun, due, used = (int(each * SECOND) for each in (start, deadline, held))
    return Call(slot, 7 + slot, begun, due, used, streaming)


def test_nothing_running_needs_nothing() -> None:
    assert Budget(15).judge(at(5)) == Decision()


def test_a_call_in_time_is_left_alone_and_looked_at_when_it_is_due() -> None:
    decision = Budget().judge(at(9.5, call(deadline=10)))
    assert decision.ending is None
    assert decision.next_look == SECOND // 2


def test_a_late_call_ends_it_all_two_seconds_after_it_was_seen_to_be_late() -> None:
    budget = Budget()
    assert budget.judge(at(10, call(deadline=10))).ending is None
    assert budget.judge(at(11.9, call(deadline=10))).ending is None
    ending = budget.judge(at(12, call(deadline=10))).ending
    assert ending is not None
    assert ending.end == EndReason.DEADLINE
    assert ending.reason == "a call ran past its deadline of 10 s and could not be cancelled"


def test_a_sandbox_that_was_frozen_for_long_gives_a_late_call_its_two_seconds() -> None:
    budget = Budget()
    budget.judge(at(5, call(deadline=10)))
    assert budget.judge(at(1000, call(deadline=10))).ending is None
    assert budget.judge(at(1001)).ending is None


def test_a_call_whose_answer_began_has_no_deadline_any_more() -> None:
    budget = Budget()
    budget.judge(at(10, call(deadline=10)))
    for second in range(11, 20):
        assert budget.judge(at(second, call(deadline=0, streaming=True))).ending is None


def test_another_call_in_the_slot_of_a_late_one_starts_anew() -> None:
    budget = Budget()
    budget.judge(at(10, call(deadline=10)))
    other = call(deadline=11.5)._replace(ident=99)
    assert budget.judge(at(12.5, other)).ending is None


def test_the_processor_time_of_one_call_is_all_its_own() -> None:
    budget = Budget(5)
    budget.judge(at(0, call()))
    assert budget.judge(at(4, call(), cpu=4)).cancel == ()
    assert budget.judge(at(5, call(), cpu=5)).cancel == (call(),)
    assert budget.judge(at(6, call(), cpu=6)) == Decision(next_look=5 * SECOND // 8)
    ending = budget.judge(at(7, call(), cpu=7)).ending
    assert ending is not None
    assert ending.end == EndReason.CPU
    assert "5 s of processor time" in ending.reason


def test_a_call_that_lets_itself_be_cancelled_ends_nothing() -> None:
    budget = Budget(1)
    budget.judge(at(0, call()))
    assert budget.judge(at(2, call(), cpu=2)).cancel
    assert budget.judge(at(5, cpu=2)).ending is None


def test_work_on_the_event_loop_is_charged_to_whose_step_it_was() -> None:
    budget = Budget(100)
    budget.judge(at(0, call(0), call(1)))
    budget.judge(at(10, call(0, held=9), call(1, held=1), cpu=10))
    assert budget.used_seconds(call(0)) == 9
    assert budget.used_seconds(call(1)) == 1


def test_waiting_on_the_event_loop_without_using_the_processor_costs_nothing() -> None:
    budget = Budget(100)
    budget.judge(at(0, call()))
    budget.judge(at(10, call(held=10), cpu=0.5))
    assert budget.used_seconds(call()) == 0.5


def test_work_in_threads_is_divided_by_how_long_each_call_ran() -> None:
    budget = Budget(100)
    budget.judge(at(0, call(0)))
    budget.judge(at(10, call(0), call(1, start=5), cpu=6))
    assert budget.used_seconds(call(0)) == 4
    assert budget.used_seconds(call(1)) == 2


def test_calls_that_came_and_went_take_their_part() -> None:
    budget = Budget(100)
    budget.judge(at(0, call()))
    budget.judge(at(10, call(), cpu=8, ended_time=30))
    assert budget.used_seconds(call()) == 2


def test_a_stream_that_waits_is_not_charged_for_the_work_of_others() -> None:
    budget = Budget(5)
    stream = call(0, streaming=True)
    budget.judge(at(0, stream))
    for second in range(1, 100):
        decision = budget.judge(at(second, stream, cpu=second, ended_time=second))
        assert decision.cancel == ()
    assert budget.used_seconds(stream) == 0


def test_a_stream_that_is_alone_is_charged() -> None:
    budget = Budget(5)
    stream = call(0, streaming=True)
    budget.judge(at(0, stream))
    assert budget.judge(at(6, stream, cpu=6)).cancel == (stream,)


def test_what_was_used_while_nobody_looked_is_nobodys() -> None:
    budget = Budget(5)
    budget.judge(at(0))
    budget.forget()
    budget.judge(at(100, call(start=100), cpu=90))
    assert budget.used_seconds(call(start=100)) == 0


def test_a_small_budget_is_looked_at_more_often() -> None:
    assert Budget(0.8).judge(at(0, call())).next_look == SECOND // 10
    assert Budget().judge(at(0, call())).next_look == LOOK_EVERY


@settings(deadline=None)
@given(looks, st.floats(0, 100))
def test_nonsense_in_the_page_breaks_nothing(sequence: list[Look], seconds: float) -> None:
    budget = Budget(seconds)
    for look in sequence:
        decision = budget.judge(look)
        assert 0 < decision.next_look <= max(LOOK_EVERY, PATIENCE)


def test_the_words_for_ends_are_the_managers() -> None:
    assert CRASH == EndReason.CRASH
