"""Patterns that take exponential time, and patterns of strangers."""

import ast
import importlib
import re
from collections.abc import Iterator
from typing import Any

from generator.scan.subject import Subject, argument, constant_text, found, words
from generator.types import Finding

RULES = {
    "regex_backtracks": "A repeat within a repeat, or alternatives that begin alike within one.",
    "regex_from_variable": "A pattern that is not a constant.",
    "regex_invalid": "A pattern that does not compile.",
}
_PATTERN = 500
_MANY = 20
_FUNCTIONS = words("""compile match fullmatch search sub subn split findall finditer""")
_sre: Any = importlib.import_module("re._parser")


def check(subject: Subject) -> Iterator[Finding]:
    """Every pattern of `re`, and of pydantic's and FastAPI's `pattern=`."""
    for call in subject.of(ast.Call):
        name = subject.dotted(call.func)
        if name.startswith("re.") and name[3:] in _FUNCTIONS:
            yield from _pattern(subject, argument(call, 0, "pattern"), call, is_re=True)
        else:
            for keyword in call.keywords:
                if keyword.arg in {"pattern", "regex"}:
                    yield from _pattern(subject, keyword.value, call, is_re=False)


def _pattern(
    subject: Subject, node: ast.expr | None, call: ast.Call, *, is_re: bool
) -> Iterator[Finding]:
    text = _text(subject, node)
    if text is None:
        if is_re and not _is_escaped(subject, node):
            yield found("regex_from_variable", "a pattern is a constant", call)
    elif len(text) > _PATTERN:
        yield found("regex_backtracks", f"a pattern has at most {_PATTERN} characters", call)
    else:
        yield from _judged(text, call)


def _is_escaped(subject: Subject, node: ast.expr | None) -> bool:
    return isinstance(node, ast.Call) and subject.dotted(node.func) == "re.escape"


def _text(subject: Subject, node: ast.expr | None) -> str | None:
    if isinstance(node, ast.Name):
        values = [value for _, value in subject.assigned.get(node.id, ())]
        return constant_text(values[0]) if len(values) == 1 else None
    if isinstance(node, ast.Constant) and isinstance(node.value, bytes):
        return node.value.decode("latin-1")
    return constant_text(node)


def _judged(text: str, call: ast.Call) -> Iterator[Finding]:
    try:
        parsed = _sre.parse(text)
        bad = _backtracks(parsed, within=False)
    except (ValueError, OverflowError, RecursionError, re.error) as error:
        yield found("regex_invalid", f"the pattern does not compile: {error}", call)
        return
    if bad:
        message = "the pattern may take exponential time; repeat no repeats"
        yield found("regex_backtracks", message, call)


def _backtracks(items: Any, *, within: bool) -> bool:
    """Whether a long repeat holds something that can match the same text in several ways."""
    return any(_item_backtracks(kind, value, within) for kind, value in items)


def _item_backtracks(kind: Any, value: Any, within: bool) -> bool:
    name = str(kind)
    if name in {"MAX_REPEAT", "MIN_REPEAT"}:
        is_long = int(value[1]) > _MANY
        return (is_long and _is_open(value[2])) or _backtracks(value[2], within=within or is_long)
    if name == "BRANCH":
        if within and _alike(value[1]):
            return True
        return any(_backtracks(one, within=within) for one in value[1])
    if name in {"SUBPATTERN", "ASSERT", "ASSERT_NOT", "ATOMIC_GROUP"}:
        inner = value if name == "ATOMIC_GROUP" else value[-1]
        return _backtracks(inner, within=within)
    return False


def _is_open(items: Any) -> bool:
    """Whether nothing in a repeated part has to be there once to tell its rounds apart."""
    flat = _flat(items)
    bounds = [
        (int(value[0]), int(value[1])) if str(kind).endswith("_REPEAT") else (1, 1)
        for kind, value in flat
    ]
    has_long = any(high > _MANY for _, high in bounds)
    return has_long and all(high > _MANY or low == 0 for low, high in bounds)


def _flat(items: Any) -> list[Any]:
    found_items: list[Any] = []
    for kind, value in items:
        found_items += _flat(value[-1]) if str(kind) == "SUBPATTERN" else [(kind, value)]
    return found_items


def _alike(branches: Any) -> bool:
    firsts = [str(branch[0]) if len(branch) else "" for branch in branches]
    return len(set(firsts)) < len(firsts) or any("ANY" in first for first in firsts)
