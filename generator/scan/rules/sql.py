"""SQL put together from text."""

import ast
from collections.abc import Iterator

from generator.scan.subject import Function, Subject, found
from generator.types import Finding

RULES = {
    "sql_built_from_text": "A statement for `execute` made by f-string, `+`, `%` or `.format`.",
    "sql_extension": "Loading extensions into a database, or opening files as databases.",
}
_EXECUTES = frozenset({"execute", "executemany", "executescript"})


def check(subject: Subject) -> Iterator[Finding]:
    """Calls of databases."""
    built = _built_names(subject)
    for call in subject.of(ast.Call):
        method = call.func.attr if isinstance(call.func, ast.Attribute) else ""
        if method in _EXECUTES and call.args:
            first = call.args[0]
            scope = subject.function_of(call)
            if is_built(first) or (isinstance(first, ast.Name) and (scope, first.id) in built):
                text = "pass values as parameters: execute(statement, (value,))"
                yield found("sql_built_from_text", text, call)
        elif method in {"load_extension", "enable_load_extension"}:
            yield found("sql_extension", f"{method} may not be called", call)
        elif subject.dotted(call.func) == "sqlite3.connect":
            yield from _connected(call)


def _built_names(subject: Subject) -> set[tuple[Function | None, str]]:
    """Names that hold text put together, and where."""
    grown = [node.target for node in subject.of(ast.AugAssign)]
    made = {
        (function, name)
        for name, values in subject.assigned.items()
        for function, value in values
        if is_built(value)
    }
    return made | {(subject.function_of(x), x.id) for x in grown if isinstance(x, ast.Name)}


def _connected(call: ast.Call) -> Iterator[Finding]:
    place = call.args[0] if call.args else None
    if not (isinstance(place, ast.Constant) and place.value == ":memory:"):
        yield found("sql_extension", 'only connect(":memory:") is allowed; use kv to keep', call)


def is_built(node: ast.AST) -> bool:
    """Whether text is put together from more than constants."""
    if isinstance(node, ast.JoinedStr):
        return any(isinstance(part, ast.FormattedValue) for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Mod):
        return not all(isinstance(side, ast.Constant) for side in (node.left, node.right))
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in {"format", "join", "replace"}
    )
