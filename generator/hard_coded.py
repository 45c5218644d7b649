"""Whether code only knows the answers of its examples, instead of working them out. Pure.

Looking things up in a table is honest work: inputs and answers stand in such code too. But a
table says no to what it does not have. So what counts is how other inputs are answered.
"""

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from generator.contract import Example, Json, Operation
from generator.examples import matched
from generator.types import Finding, Gate, Severity

_MOST_CODE = 400_000
Constants = frozenset[str]


@dataclass(frozen=True, slots=True)
class Answers:
    """What one operation answered: to its examples, and to other inputs than theirs."""

    operation: Operation
    to_examples: tuple[tuple[Example, Json], ...]  # those that went well
    to_others: tuple[Json, ...]  # with the operation's own status


def constants(code: str) -> Constants:
    """All texts and numbers that stand in the code; nothing when it cannot be read."""
    try:
        tree = ast.parse(code[:_MOST_CODE])
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return frozenset()
    found = (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant))
    return frozenset(_shown(one) for one in found if isinstance(one, str | int | float))


def finding(answers: Answers, known: Constants) -> Finding | None:
    """A finding when the answers do not come from the inputs."""
    shown = answers.to_examples
    if not answers.to_others or not shown:
        return None
    literal = [_is_literal(answers.operation, example, known) for example, _ in shown]
    told = {repr(value) for _, value in shown}
    others = {repr(value) for value in answers.to_others}
    if len(others) == 1 and others <= told:
        # one example does not show that inputs matter: all may be answered with thanks
        severity = Severity.ERROR if len(told) > 1 else Severity.WARNING
        text = "Whatever is asked, it answers the same."
        return _found(answers.operation, severity, text) if _matters(shown, known) else None
    if all(literal):
        severity = Severity.ERROR if len(literal) > 1 else Severity.WARNING
        text = "Inputs and answers of its examples stand in the code as they are."
        return _found(answers.operation, severity, text)
    return None


def _matters(shown: Sequence[tuple[Example, Json]], known: Constants) -> bool:
    """Whether an answer that is always the same says something, and the code has it."""
    told = {*_telling([value for _, value in shown])}
    return len({repr(value) for _, value in shown}) > 1 or bool(told and told <= known)


def _found(operation: Operation, severity: Severity, text: str) -> Finding:
    message = f"{text} Work the answer out from the input."
    return Finding(Gate.SANDBOX, "answers_are_hard_coded", message, severity, None, operation.id)


def _is_literal(operation: Operation, example: Example, known: Constants) -> bool:
    """Whether input and answer are both in the code, and the answer is no part of the input."""
    path = matched(operation.path, example.path) or {}
    given = {*_telling([*path.values(), *example.query.values(), example.body])}
    told = {*_telling([example.response])} - given
    return bool(given and told) and given | told <= known


def _telling(values: Sequence[Json]) -> Iterator[str]:
    """Leaves that are not there by chance."""
    for value in values:
        if isinstance(value, dict):
            yield from _telling(list(value.values()))
        elif isinstance(value, list):
            yield from _telling(value)
        elif not isinstance(value, bool | None) and len(_shown(value)) > 1:
            yield _shown(value)


def _shown(value: Json) -> str:
    return value if isinstance(value, str) else repr(value)
