"""Which guards stand in front of each route: a list of what code refuses, bounds and escapes.

A route has the guards of its own function and of all that it names: helpers, models, aliases,
dependencies. So a guard may move or be renamed and is still there.
"""

import ast
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from generator.scan.subject import argument, constant_text, words

_MAX_STEPS = 5_000
_MAX_DEPTH = 40


class Kind(StrEnum):
    """Sorts of guards."""

    VALIDATOR = "validator"
    BOUND = "bound"
    DEPENDENCY = "dependency"
    LIMIT = "limit"
    HANDLER = "handler"
    ESCAPE = "escape"
    PARAMETERS = "parameters"
    ALLOW_LIST = "allow_list"
    REFUSAL = "refusal"
    TIMEOUT = "timeout"


Guard = tuple[Kind, str]
_BOUNDS = words(
    "min_length max_length ge gt le lt pattern multiple_of max_digits decimal_places strict"
)
_TYPES = words(
    """EmailStr HttpUrl AnyHttpUrl AnyUrl PositiveInt NonNegativeInt PositiveFloat
    NonNegativeFloat Literal StrictStr StrictInt StrictBool IPvAnyAddress"""
)
_CALLS = {
    Kind.VALIDATOR: words(
        """field_validator model_validator AfterValidator BeforeValidator PlainValidator
        WrapValidator validate_call"""
    ),
    Kind.ESCAPE: words("escape quote quote_plus clean compare_digest"),
    Kind.TIMEOUT: words("timeout wait_for timeout_at"),
    Kind.LIMIT: words("min islice"),
}
_KIND_OF = {name: kind for kind, names in _CALLS.items() for name in names}
_REFUSALS = frozenset(["HTTPException", "JSONResponse", "Response", "PlainTextResponse"])
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_METHODS = frozenset(["get", "post", "put", "patch", "delete"])
_Definition = ast.stmt


@dataclass(slots=True)
class Routes:
    """Routes of a body by method and path, with their guards and lines."""

    guards: dict[str, Counter[Guard]] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)


def routes_of(tree: ast.Module) -> Routes:
    """Every route of a tree that is known to be small and shallow."""
    known = _definitions(tree)
    routes = Routes()
    for node in tree.body:
        if isinstance(node, _FUNCTIONS):
            for name in _routes(node):
                routes.guards[name] = _Walk(known).of(node)
                routes.lines[name] = node.lineno
    return routes


def _routes(function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[str]:
    for call in function.decorator_list:
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute):
            path = constant_text(argument(call, 0, "path"))
            if call.func.attr in _METHODS and path is not None:
                yield f"{call.func.attr.upper()} {path}"


def _definitions(tree: ast.Module) -> dict[str, _Definition]:
    known: dict[str, _Definition] = {}
    for node in tree.body:
        if isinstance(node, (*_FUNCTIONS, ast.ClassDef)):
            known[node.name] = node
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            known |= {one.id: node for one in targets if isinstance(one, ast.Name)}
    return known


class _Walk:
    """From one route through all that it names; a class counts once, a helper at each use."""

    def __init__(self, known: Mapping[str, _Definition]) -> None:
        self._known = known
        self._classes: set[ast.stmt] = set()
        self._open: list[ast.stmt] = []
        self._steps = 0

    def of(self, definition: _Definition) -> Counter[Guard]:
        found: Counter[Guard] = Counter()
        self._open.append(definition)
        for node in _reached(definition):
            found.update(_guards(node))
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                found += self._named(node.id)
        self._open.pop()
        return found

    def _named(self, name: str) -> Counter[Guard]:
        definition = self._known.get(name)
        self._steps += 1
        if (
            definition is None
            or definition in self._open
            or definition in self._classes
            or self._steps > _MAX_STEPS
            or len(self._open) > _MAX_DEPTH
        ):
            return Counter()
        if isinstance(definition, ast.ClassDef):
            self._classes.add(definition)
        return self.of(definition)


def _reached(root: ast.AST) -> Iterator[ast.AST]:
    """Everything below, but what a constant condition switches off."""
    waiting = [root]
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, ast.If | ast.While) and _is_off(node.test):
            waiting += node.orelse
        else:
            waiting += ast.iter_child_nodes(node)


def _is_off(test: ast.expr) -> bool:
    return isinstance(test, ast.Constant) and not test.value


def _guards(node: ast.AST) -> Iterator[Guard]:
    """What one node guards by itself."""
    if isinstance(node, ast.Call):
        yield from _of_call(node)
    elif isinstance(node, ast.ExceptHandler):
        yield Kind.HANDLER, ""
    elif isinstance(node, ast.Compare):
        yield from _of_compare(node)
    elif isinstance(node, ast.Slice) and node.upper is not None:
        yield Kind.LIMIT, "slice"
    elif isinstance(node, ast.Name | ast.Attribute) and _last(node) in _TYPES:
        yield Kind.BOUND, _last(node)


def _of_call(call: ast.Call) -> Iterator[Guard]:
    for keyword in call.keywords:
        yield from _of_keyword(keyword)
    name = _last(call.func)
    if name in _KIND_OF:
        yield _KIND_OF[name], name
    elif name in {"Depends", "Security"}:
        yield Kind.DEPENDENCY, ""  # known by what it does, so that its name may change
    elif name == "read" and call.args:
        yield Kind.LIMIT, name
    elif name in {"execute", "executemany"} and len(call.args) > 1:
        yield Kind.PARAMETERS, name
    elif name in _REFUSALS:
        yield from _refusal(call, name)


def _of_keyword(keyword: ast.keyword) -> Iterator[Guard]:
    if keyword.arg in _BOUNDS:
        yield Kind.BOUND, keyword.arg
    elif keyword.arg == "extra" and constant_text(keyword.value) == "forbid":
        yield Kind.BOUND, "extra=forbid"
    elif keyword.arg == "timeout":
        yield Kind.TIMEOUT, "timeout="
    elif keyword.arg == "autoescape":
        yield Kind.ESCAPE, "autoescape"


def _refusal(call: ast.Call, name: str) -> Iterator[Guard]:
    status = argument(call, 0 if name == "HTTPException" else 1, "status_code")
    if isinstance(status, ast.Constant) and isinstance(status.value, int):
        if status.value >= 400:
            yield Kind.REFUSAL, str(status.value)
    elif name == "HTTPException":
        parts = _last(status).split("_") if status is not None else []
        numbers = [part for part in parts if part.isdigit()]
        yield Kind.REFUSAL, numbers[0] if numbers else ""


def _of_compare(node: ast.Compare) -> Iterator[Guard]:
    sides = [node.left, *node.comparators]
    if any(isinstance(one, ast.Call) and _last(one.func) == "len" for one in sides):
        yield Kind.LIMIT, "len"
    for operator, right in zip(node.ops, node.comparators, strict=True):
        if isinstance(operator, ast.In | ast.NotIn) and _is_list(right):
            yield Kind.ALLOW_LIST, ""


def _is_list(node: ast.expr) -> bool:
    """A written list, or a constant by its name."""
    if isinstance(node, ast.Set | ast.Tuple | ast.List):
        return True
    return isinstance(node, ast.Name) and node.id.isupper()


def _last(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""
