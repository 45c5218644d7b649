"""Whether another repair is worth it."""

from generator.rounds import Step, Stop, better, guards_of, is_stuck, next_step
from generator.types import Candidate, CaseResult, Finding, Gate, TestReport

REPORT = TestReport((CaseResult("a", "example", "a", True),))


def candidate(
    number: int, *names: str, gate: Gate = Gate.SANDBOX, called: bool = True
) -> Candidate:
    findings = tuple(Finding(gate, name, name) for name in names)
    return Candidate(f"body {number}", "", number, findings, REPORT if called else TestReport())


def step(*history: Candidate, stronger: bool = False, is_last: bool = False) -> Step | str:
    found = next_step(history, 3, can_escalate=stronger and not is_last, is_last=is_last)
    return found.code if isinstance(found, Stop) else found


def test_a_first_failure_is_repaired() -> None:
    assert step(candidate(0, "a")) is Step.REPAIR


def test_fewer_problems_are_worth_another_round() -> None:
    assert step(candidate(0, "a", "b"), candidate(1, "c")) is Step.REPAIR


def test_as_many_problems_are_not() -> None:
    assert step(candidate(0, "a"), candidate(1, "b")) == "no_progress"


def test_what_is_called_at_last_may_have_more_problems() -> None:
    begun = candidate(0, "start", called=False)
    assert step(begun, candidate(1, "a", "b")) is Step.REPAIR
    unread = candidate(0, "syntax", gate=Gate.STATIC, called=False)
    assert step(unread, candidate(1, "start", "b", called=False)) is Step.REPAIR


def test_what_is_called_no_longer_went_back() -> None:
    assert step(candidate(0, "a", "b"), candidate(1, "start", called=False)) == "no_progress"


def test_the_same_problem_for_the_third_time_ends_it() -> None:
    history = [candidate(0, "x", "a", "b"), candidate(1, "x", "c"), candidate(2, "x")]
    assert is_stuck(history)
    assert not is_stuck(history[:2])


def test_rounds_are_counted() -> None:
    history = [candidate(2, "a", "b"), candidate(3, "c")]
    assert step(*history) == "repairs_used_up"
    assert step(*history, stronger=True) == "repairs_used_up"


def test_the_stronger_model_has_the_last_round() -> None:
    assert step(candidate(1, "a", "b"), candidate(2, "c"), stronger=True) is Step.ESCALATE
    assert step(candidate(0, "a", "b"), candidate(1, "c"), stronger=True) is Step.REPAIR


def test_the_stronger_model_has_its_round_when_nothing_moves() -> None:
    assert step(candidate(0, "a"), candidate(1, "b"), stronger=True) is Step.ESCALATE


def test_after_the_stronger_model_comes_nobody() -> None:
    stuck = [candidate(0, "a"), candidate(1, "b")]
    assert step(*stuck, stronger=True, is_last=True) == "no_progress"
    moved = [candidate(0, "a", "b"), candidate(1, "c")]
    assert step(*moved, stronger=True, is_last=True) == "repairs_used_up"


def test_the_better_candidate_has_fewer_problems() -> None:
    worse, good = candidate(0, "a", "b"), candidate(1, "c")
    assert better(worse, good) is good
    assert better(good, worse) is good
    assert better(None, worse) is worse


def test_what_dropped_a_guard_is_never_better() -> None:
    honest, bare = candidate(0, "a", "b"), candidate(1, "c", gate=Gate.INVARIANTS)
    assert better(honest, bare) is honest


def test_guards_are_those_of_the_last_body_that_shows_them() -> None:
    first, bare = candidate(0, "a", "b"), candidate(1, "c", gate=Gate.INVARIANTS)
    unread = candidate(2, "syntax", gate=Gate.STATIC, called=False)
    assert guards_of([first, bare, unread]) == "body 0"
    assert guards_of([unread]) is None
