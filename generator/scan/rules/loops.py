"""Loops that never end."""

import ast
from collections.abc import Iterator

from generator.scan.subject import Subject, found
from generator.types import Finding

RULES = {
    "endless_loop": "`while True` without `break`, `return`, `raise`, `yield` or `await`; or any "
    "outside of functions.",
}
_ENDS = (ast.Break, ast.Return, ast.Raise, ast.Await, ast.Yield, ast.YieldFrom, ast.AsyncFor)


def check(subject: Subject) -> Iterator[Finding]:
    """Every loop whose condition is a constant."""
    for loop in subject.of(ast.While):
        if not (isinstance(loop.test, ast.Constant) and loop.test.value):
            continue
        inner = {id(node) for nested in _nested(loop) for node in ast.walk(nested)}
        ends = any(isinstance(node, _ENDS) and id(node) not in inner for node in ast.walk(loop))
        if not ends:
            yield found("endless_loop", "this loop never ends and lets nothing else run", loop)


def _nested(loop: ast.While) -> list[ast.AST]:
    """Functions within, whose returns are not the loop's."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
    return [node for node in ast.walk(loop) if isinstance(node, kinds)]
