"""The platform's own names, taken, changed or used otherwise than meant."""

import ast
from collections.abc import Iterator
from functools import lru_cache

from generator.contract import Contract
from generator.scan.subject import Subject, bound_names, constant_text, found
from generator.template import head
from generator.types import Finding

RULES = {
    "platform_name_taken": "`router`, `app`, `kv`, `http` or another name of the platform "
    "given a new meaning.",
    "platform_name_used": "`app` or a private name of the platform used at all.",
    "router_misused": "`router` used for anything but `@router.get(...)` and its kind.",
    "library_changed": "Attributes of imported modules, classes or platform objects set or "
    "deleted.",
}
_OPEN = frozenset({"router", "kv", "http"})
_METHODS = frozenset({"get", "post", "put", "patch", "delete"})


def check(subject: Subject) -> Iterator[Finding]:
    """Bindings, uses, and changes."""
    ours = names(subject.contract)
    for node in subject.nodes:
        for name in bound_names(node):
            if name in ours and not _is_fine(subject, node, name):
                yield found(
                    "platform_name_taken", f"{name} belongs to the platform", _place(subject, node)
                )
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            yield from _used(subject, node, ours)
        if isinstance(node, ast.Attribute):
            yield from _changed(subject, node)
        elif isinstance(node, ast.Call):
            yield from _set_by_name(subject, node)
        elif isinstance(node, ast.Subscript) and _is_scope(node):
            yield found("platform_name_used", "the application belongs to the platform", node)


@lru_cache(maxsize=64)
def _names(text: str) -> frozenset[str]:
    return frozenset(name for node in ast.parse(text).body for name in _top(node))


def names(contract: Contract) -> frozenset[str]:
    """Everything that the platform's part binds."""
    return _names(head(contract))


def _top(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, ast.Import | ast.ImportFrom):
        for alias in node.names:
            yield from bound_names(alias)
    elif isinstance(node, ast.Assign):
        for target in node.targets:
            yield from bound_names(target)
    else:
        yield from bound_names(node)


def _is_fine(subject: Subject, node: ast.AST, name: str) -> bool:
    """A field of a class; or `from sandgate_runtime import kv`, which the platform does, too."""
    if isinstance(node, ast.alias):
        return name == "kv" and subject.imported.get(name) == "sandgate_runtime.kv"
    parent = subject.parents.get(node)
    if not isinstance(parent, ast.Assign | ast.AnnAssign):
        return False
    return isinstance(subject.parents.get(parent), ast.ClassDef)


def _place(subject: Subject, node: ast.AST) -> ast.AST:
    return node if hasattr(node, "lineno") else subject.parents[node]


def _used(subject: Subject, node: ast.Name, ours: frozenset[str]) -> Iterator[Finding]:
    if node.id in ours and node.id not in _OPEN:
        yield found("platform_name_used", f"{node.id} belongs to the platform", node)
    elif node.id == "router" and not _decorates(subject, node):
        yield found("router_misused", "use router only as @router.get(...) and its kind", node)


def _decorates(subject: Subject, node: ast.Name) -> bool:
    attribute = subject.parents.get(node)
    call = subject.parents.get(attribute) if attribute else None
    function = subject.parents.get(call) if call else None
    return (
        isinstance(attribute, ast.Attribute)
        and attribute.attr in _METHODS
        and isinstance(call, ast.Call)
        and isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        and call in function.decorator_list
    )


def _changed(subject: Subject, node: ast.Attribute) -> Iterator[Finding]:
    root: ast.AST = node
    while isinstance(root, ast.Attribute):
        if root.attr == "app" and not isinstance(subject.parents.get(root), ast.Call):
            yield found("platform_name_used", "the application belongs to the platform", node)
            return
        root = root.value
    if not isinstance(node.ctx, ast.Load) and _is_foreign(subject, root):
        yield found("library_changed", "what is imported or given may not be changed", node)


def _is_foreign(subject: Subject, root: ast.AST) -> bool:
    """Something imported, an object of the platform, or the class of whatever it is."""
    if isinstance(root, ast.Call):
        return isinstance(root.func, ast.Name) and root.func.id == "type"
    return isinstance(root, ast.Name) and (root.id in subject.imported or root.id in _OPEN)


def _set_by_name(subject: Subject, call: ast.Call) -> Iterator[Finding]:
    names = {"setattr", "delattr"}
    if isinstance(call.func, ast.Name) and call.func.id in names and call.args:
        root: ast.AST = call.args[0]
        while isinstance(root, ast.Attribute):
            root = root.value
        if _is_foreign(subject, root):
            yield found("library_changed", "what is imported or given may not be changed", call)


def _is_scope(node: ast.Subscript) -> bool:
    return (
        isinstance(node.value, ast.Attribute)
        and node.value.attr == "scope"
        and constant_text(node.slice) in {"app", "router", "root_path"}
    )
