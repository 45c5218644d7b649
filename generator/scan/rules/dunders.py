"""Ways round the other rules: private machinery of objects."""

import ast
import re
from collections.abc import Iterator

from generator.scan.subject import Subject, constant_text, found, words
from generator.types import Finding

RULES = {
    "dunder_used": "Names with two underscores such as `__class__`, `__globals__`, "
    "`__builtins__`, as name, attribute, pattern or within a format.",
    "frame_walked": "Frames, code objects and tracebacks: `f_globals`, `gi_frame`, `tb_frame`.",
    "format_from_variable": "`.format` on text that is not a constant.",
}
_FINE = words(
    """__init__ __name__ __doc__ __post_init__ __str__ __repr__ __eq__ __hash__ __len__
    __aenter__ __aexit__ __enter__ __exit__ __call__ __iter__ __next__ __init_subclass__
    __members__ __args__ __version__"""
)
_FRAME_NAMES = words(
    """f_back f_builtins f_code f_globals f_locals f_trace gi_code gi_frame gi_yieldfrom
    cr_code cr_frame cr_await ag_code ag_frame ag_await tb_frame tb_next func_globals
    func_code co_code co_consts mro"""
)
_IN_FORMAT = re.compile(r"\{[^{}]{0,200}[.\[]_")


def check(subject: Subject) -> Iterator[Finding]:
    """Names, attributes, patterns, and formats."""
    for node in subject.nodes:
        for name in _names(node):
            if name.startswith("__") and name not in _FINE:
                yield found("dunder_used", f"{name} may not be used", node)
            elif isinstance(node, ast.Attribute) and name in _FRAME_NAMES:
                yield found("frame_walked", f"{name} may not be used", node)
        text = constant_text(node)
        if text and _IN_FORMAT.search(text[:20_000]):
            yield found("dunder_used", "a format may not reach private attributes", node)
    for call in subject.of(ast.Call):
        yield from _format(subject, call)


def _names(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Name):
        return [node.id]
    if isinstance(node, ast.Attribute):
        return [node.attr]
    if isinstance(node, ast.MatchClass):
        return node.kwd_attrs
    if isinstance(node, ast.alias):
        return node.name.split(".")
    if isinstance(node, ast.keyword | ast.arg):
        return [node.arg or ""]
    return []


def _format(subject: Subject, call: ast.Call) -> Iterator[Finding]:
    function = call.func
    if not isinstance(function, ast.Attribute) or function.attr not in {"format", "format_map"}:
        return
    if isinstance(function.value, ast.Constant | ast.JoinedStr):
        return
    name = function.value.id if isinstance(function.value, ast.Name) else ""
    values = [constant_text(value) for _, value in subject.assigned.get(name, ())]
    if not values or None in values:
        text = "format only constant text; what people send may reach into objects"
        yield found("format_from_variable", text, call, warning=True)
