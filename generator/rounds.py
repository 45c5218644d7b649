"""Whether another repair is worth it. Decides only; nothing is done here."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from generator.types import Candidate, Gate

_SURVIVED = 3  # a problem that is there for the third time will be there for the fourth


class Step(Enum):
    """What comes next."""

    REPAIR = "repair"
    ESCALATE = "escalate"  # the last repair, by the stronger model


@dataclass(frozen=True, slots=True)
class Stop:
    """Nothing comes next, and why."""

    code: str
    reason: str


def next_step(
    history: Sequence[Candidate], rounds: int, *, can_escalate: bool, is_last: bool
) -> Step | Stop:
    """After the last candidate failed. `is_last`: the stronger model has had its turn."""
    last = history[-1]
    left = len(last.stopped_by)
    told = f"{left} problem{'s' * (left != 1)} left after {last.round} of {rounds} repairs"
    stuck = is_stuck(history)
    if last.round >= rounds or (is_last and not stuck):
        return Stop("repairs_used_up", f"{told}: no more of them are made.")
    if stuck and not can_escalate:
        return Stop("no_progress", f"{told}, and the last one brought nothing.")
    if can_escalate and (stuck or last.round == rounds - 1):
        return Step.ESCALATE
    return Step.REPAIR


def is_stuck(history: Sequence[Candidate]) -> bool:
    """Whether the last repair brought nothing: no fewer problems, or the same ones again."""
    if len(history) < 2:
        return False
    *earlier, last = history
    if _progress(last) <= max(_progress(one) for one in earlier):
        return True
    lately = [fingerprints(one) for one in history[-_SURVIVED:]]
    return len(lately) == _SURVIVED and bool(frozenset.intersection(*lately))


def better(one: Candidate | None, other: Candidate) -> Candidate:
    """The one that is nearer to passing; what dropped a guard is the last choice."""
    return other if one is None or _worth(other) > _worth(one) else one


def fingerprints(candidate: Candidate) -> frozenset[str]:
    """Its problems, wherever they stand."""
    return frozenset(one.fingerprint for one in candidate.stopped_by)


def drops_a_guard(candidate: Candidate) -> bool:
    """Whether it protects less than what it mends."""
    return any(one.gate is Gate.INVARIANTS for one in candidate.stopped_by)


def guards_of(history: Sequence[Candidate]) -> str | None:
    """The body whose guards a repair must keep: the last that could be read and dropped none.

    What does not parse shows no guards, so nothing would be missed after it.
    """
    for one in reversed(history):
        if not drops_a_guard(one) and _reached(one):
            return one.body
    return None


def _worth(candidate: Candidate) -> tuple[bool, int, int]:
    return not drops_a_guard(candidate), *_progress(candidate)


def _progress(candidate: Candidate) -> tuple[int, int]:
    """How far it came, then how little stops it: what starts at last may have more to mend."""
    return _reached(candidate), -len(candidate.stopped_by)


def _reached(candidate: Candidate) -> int:
    if candidate.report.cases:
        return 2  # it was called
    return int(any(one.gate is Gate.SANDBOX for one in candidate.findings))  # it was started
