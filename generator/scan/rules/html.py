"""HTML made of values that were not escaped."""

import ast
import re
from collections.abc import Iterator

from generator.scan.subject import Function, Subject, argument, constant_text, found
from generator.types import Finding

RULES = {
    "html_without_escape": "Values put between tags without `html.escape`; a warning where the "
    "file answers no HTML.",
    "templates_without_escape": "A template environment that does not escape by itself.",
    "template_from_variable": "A template whose text is not a constant.",
}
_TAG = re.compile(r"<\s{0,5}[/!]?[a-zA-Z]")
_ESCAPES = frozenset({"html.escape", "markupsafe.escape", "urllib.parse.quote", "nh3.clean"})
_HARMLESS = _ESCAPES | {"int", "float", "len", "round", "sum", "bool", "abs"}
_NAMES = 30  # followed from one value, then it counts as unsafe
_NUMBER = re.compile(r"[\d.,_+-]{0,10}[bdeEfFgGnoxX%]$")


def check(subject: Subject) -> Iterator[Finding]:
    """Text with tags that takes values, and template environments."""
    warning = not _answers_html(subject)
    for node in subject.of(ast.JoinedStr, ast.BinOp, ast.Call):
        unsafe = next((one for one in _values(node) if not _is_safe(subject, one, set())), None)
        if unsafe is not None:
            text = "escape what stands between tags: html.escape(...)"
            yield found("html_without_escape", text, node, warning=warning)
    for call in subject.of(ast.Call):
        name = subject.dotted(call.func)
        if name in {"jinja2.Environment", "jinja2.Template"} and not _escapes(call):
            text = "pass autoescape=True"
            yield found("templates_without_escape", text, call)
        is_made = name == "jinja2.Template" or name.endswith(".from_string")
        if is_made and not _is_constant(subject, argument(call, 0, "source")):
            yield found("template_from_variable", "a template is a constant text", call)


def _is_constant(subject: Subject, node: ast.expr | None) -> bool:
    if isinstance(node, ast.Name):
        values = [value for _, value in subject.assigned.get(node.id, ())]
        return bool(values) and all(constant_text(value) is not None for value in values)
    return constant_text(node) is not None


def _answers_html(subject: Subject) -> bool:
    texts = (constant_text(node) or "" for node in subject.nodes)
    return (
        "fastapi.responses.HTMLResponse" in subject.imported.values()
        or any("HTMLResponse" in getattr(node, "attr", "") for node in subject.nodes)
        or any(text.startswith(("text/html", "image/svg", "application/xhtml")) for text in texts)
    )


def _escapes(call: ast.Call) -> bool:
    return any(one.arg == "autoescape" and not _is_false(one.value) for one in call.keywords)


def _is_false(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and not node.value


def _values(node: ast.AST) -> list[ast.expr]:
    """What is put into text that has tags."""
    if isinstance(node, ast.JoinedStr) and any(_has_tag(part) for part in node.values):
        return [part for part in node.values if isinstance(part, ast.FormattedValue)]
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return [b for a, b in ((node.left, node.right), (node.right, node.left)) if _has_tag(a)]
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod) and _has_tag(node.left):
        return node.right.elts if isinstance(node.right, ast.Tuple) else [node.right]
    if (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "format"
        and _has_tag(node.func.value)
    ):
        return [*node.args, *(one.value for one in node.keywords)]
    return []


def _has_tag(node: ast.AST) -> bool:
    return bool(_TAG.search(constant_text(node) or ""))


def _is_safe(subject: Subject, node: ast.expr, seen: set[tuple[Function | None, str]]) -> bool:
    if isinstance(node, ast.FormattedValue):
        return _is_number(node) or _is_safe(subject, node.value, seen)
    if isinstance(node, ast.JoinedStr):
        return all(_is_safe(subject, part, seen) for part in node.values)
    if isinstance(node, ast.BinOp):
        return _is_safe(subject, node.left, seen) and _is_safe(subject, node.right, seen)
    if isinstance(node, ast.IfExp):
        return _is_safe(subject, node.body, seen) and _is_safe(subject, node.orelse, seen)
    if isinstance(node, ast.Call):
        return _is_safe_call(subject, node, seen)
    if isinstance(node, ast.GeneratorExp | ast.ListComp):
        return _is_safe(subject, node.elt, seen)
    if isinstance(node, ast.List | ast.Tuple):
        return all(_is_safe(subject, one, seen) for one in node.elts)
    if isinstance(node, ast.Name):
        return _is_safe_name(subject, node, seen)
    return isinstance(node, ast.Constant)


def _is_number(node: ast.FormattedValue) -> bool:
    spec = node.format_spec
    parts = spec.values if isinstance(spec, ast.JoinedStr) else []
    return len(parts) == 1 and bool(_NUMBER.match(constant_text(parts[0]) or ""))


def _is_safe_call(subject: Subject, node: ast.Call, seen: set[tuple[Function | None, str]]) -> bool:
    if subject.dotted(node.func) in _HARMLESS:
        return True
    is_join = isinstance(node.func, ast.Attribute) and node.func.attr == "join"
    return is_join and bool(node.args) and _is_safe(subject, node.args[0], seen)


def _is_safe_name(subject: Subject, node: ast.Name, seen: set[tuple[Function | None, str]]) -> bool:
    """Safe when all that is ever bound to it, where it stands, is safe."""
    scope = subject.function_of(node)
    if (scope, node.id) in seen:
        return True  # being looked at already
    seen.add((scope, node.id))
    values = [value for place, value in subject.assigned.get(node.id, ()) if place is scope]
    return (
        bool(values)
        and len(seen) <= _NAMES
        and all(_is_safe(subject, value, seen) for value in values)
    )
