"""Functions that run text, look through names, or touch files."""

import ast
from collections.abc import Iterator

from generator.scan.subject import Subject, argument, constant_text, found, words
from generator.types import Finding

RULES = {
    "call_not_allowed": "Use of `eval`, `exec`, `compile`, `globals`, `vars`, `input` and the "
    "like, called or handed on.",
    "attribute_by_name": "`getattr`, `setattr` or `delattr` with a name that is private or not "
    "a constant.",
    "file_write": "Writing to files anywhere but below `/tmp`.",
    "path_not_constant": "Opening a file whose path is not a constant.",
    "environment_as_a_whole": "All variables of the environment at once.",
}
FORBIDDEN = words(
    """eval exec compile __import__ globals locals vars dir breakpoint input exit quit help
    copyright credits license memoryview"""
)
_BY_NAME = frozenset({"getattr", "setattr", "delattr", "hasattr"})
_OPENERS = {"open", "io.open", "pathlib.Path", "os.path.expanduser", "gzip.open"}


def check(subject: Subject) -> Iterator[Finding]:
    """Names, calls, and the environment."""
    for name in subject.of(ast.Name):
        if name.id in FORBIDDEN and name.id not in subject.imported:
            yield found("call_not_allowed", f"{name.id} may not be used", name)
        elif name.id in _BY_NAME | {"open"} and not _is_called(subject, name):
            yield found("call_not_allowed", f"{name.id} may only be called", name)
    for call in subject.of(ast.Call):
        yield from _by_name(call)
        yield from _opened(subject, call)
    for node in [*subject.of(ast.Attribute), *subject.of(ast.Name)]:
        yield from _environment(subject, node)


def _is_called(subject: Subject, name: ast.Name) -> bool:
    parent = subject.parents.get(name)
    return isinstance(parent, ast.Call) and parent.func is name


def _by_name(call: ast.Call) -> Iterator[Finding]:
    if not isinstance(call.func, ast.Name) or call.func.id not in _BY_NAME:
        return
    name = constant_text(argument(call, 1, "name"))
    if name is None or name.startswith("_"):
        text = f"{call.func.id} takes a constant public name here"
        yield found("attribute_by_name", text, call)


def _opened(subject: Subject, call: ast.Call) -> Iterator[Finding]:
    name = subject.dotted(call.func)
    if name in _OPENERS:
        target = argument(call, 0, "file")
        path = constant_text(target)
        if path is None:
            if not (name == "gzip.open" and isinstance(target, ast.Name)):
                yield found("path_not_constant", f"{name} takes a constant path here", call)
        elif not _is_below_tmp(path) and (name == "pathlib.Path" or _writes(call)):
            yield found("file_write", "only files below /tmp may be written; use kv to keep", call)


def _is_below_tmp(path: str) -> bool:
    return path.startswith("/tmp/") and ".." not in path  # noqa: S108 - the sandbox's own


def _writes(call: ast.Call) -> bool:
    mode = argument(call, 1, "mode")
    text = constant_text(mode)
    return mode is not None and (text is None or bool(set(text) & set("wax+")))


def _environment(subject: Subject, node: ast.expr) -> Iterator[Finding]:
    if isinstance(getattr(node, "ctx", None), ast.Store) or subject.dotted(node) != "os.environ":
        return
    parent = subject.parents.get(node)
    if isinstance(parent, ast.Subscript) and isinstance(parent.ctx, ast.Load):
        return
    if not (isinstance(parent, ast.Attribute) and parent.attr == "get"):
        text = "take single variables by name: os.environ.get(...)"
        yield found("environment_as_a_whole", text, node)
