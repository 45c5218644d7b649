"""Functions that are too long or too branched to be checked."""

import ast
from collections.abc import Iterator

from generator.scan.subject import Subject, found
from generator.types import Finding

MAX_FUNCTION_LINES = 120
MAX_BRANCHES = 30
MAX_DEFINITIONS = 200
RULES = {
    "function_too_long": f"A function of more than {MAX_FUNCTION_LINES} lines.",
    "function_too_branched": f"A function with more than {MAX_BRANCHES} branches.",
    "too_many_definitions": f"More than {MAX_DEFINITIONS} functions and classes.",
}
_BRANCHES = (
    ast.If, ast.IfExp, ast.For, ast.AsyncFor, ast.While, ast.ExceptHandler, ast.BoolOp,
    ast.comprehension, ast.match_case,
)  # fmt: skip


def check(subject: Subject) -> Iterator[Finding]:
    """Every function, and how many there are."""
    for function in subject.functions():
        lines = (function.end_lineno or function.lineno) - function.lineno + 1
        if lines > MAX_FUNCTION_LINES:
            text = f"{function.name} has {lines} lines; at most {MAX_FUNCTION_LINES}"
            yield found("function_too_long", text, function)
        branches = sum(isinstance(node, _BRANCHES) for node in ast.walk(function))
        if branches > MAX_BRANCHES:
            text = f"{function.name} has {branches} branches; at most {MAX_BRANCHES}"
            yield found("function_too_branched", text, function)
    definitions = [*subject.functions(), *subject.of(ast.ClassDef)]
    if len(definitions) > MAX_DEFINITIONS:
        text = f"{len(definitions)} functions and classes; at most {MAX_DEFINITIONS}"
        yield found("too_many_definitions", text, None)
