"""What rules look at: the parsed body, with the little that several of them need to know."""

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from generator.contract import Contract
from generator.types import Finding, Gate, Severity

Node = TypeVar("Node", bound=ast.AST)
Function = ast.FunctionDef | ast.AsyncFunctionDef
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_UNPRINTABLE = re.compile(r"[^\x20-\x7e\u00a0-\u2027\u202f-\u2065\u206a-\ud7ff\uf900-\ufefe]")


@dataclass(frozen=True, slots=True)
class Subject:
    """A body that parses.

    `imported` tells what a name of the file stands for elsewhere, `assigned` what else it is given
    and in which function.
    """

    contract: Contract
    body: str
    tree: ast.Module
    nodes: tuple[ast.AST, ...]
    parents: Mapping[ast.AST, ast.AST]
    imported: Mapping[str, str]
    assigned: Mapping[str, Sequence[tuple["Function | None", ast.expr]]]

    def of(self, *kinds: type[Node]) -> Iterator[Node]:
        """Every node of these kinds."""
        return (node for node in self.nodes if isinstance(node, kinds))

    def functions(self) -> Iterator[Function]:
        """Every function, async or not."""
        return (node for node in self.nodes if isinstance(node, FUNCTIONS))

    def dotted(self, node: ast.AST) -> str:
        """`os.path.join` for a plain chain of names, as imported; empty for all else."""
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name):
            return ""
        return ".".join([self.imported.get(node.id, node.id), *reversed(parts)])

    def above(self, node: ast.AST) -> Iterator[ast.AST]:
        """What it stands in, from the inside out."""
        while (parent := self.parents.get(node)) is not None:
            yield parent
            node = parent

    def function_of(self, node: ast.AST) -> Function | None:
        """The innermost function around it."""
        return next((one for one in self.above(node) if isinstance(one, FUNCTIONS)), None)

    def in_async(self, node: ast.AST) -> bool:
        """Whether it runs on the event loop."""
        for one in self.above(node):
            if isinstance(one, (ast.FunctionDef, ast.Lambda)):
                return False
            if isinstance(one, ast.AsyncFunctionDef):
                return True
        return False


def subject_of(contract: Contract, body: str, tree: ast.Module) -> Subject:
    """A subject of a tree that is known to be shallow and small."""
    nodes = tuple(ast.walk(tree))
    parents = {child: node for node in nodes for child in ast.iter_child_nodes(node)}
    subject = Subject(contract, body, tree, nodes, parents, _imported(nodes), {})
    return replace(subject, assigned=_assigned(subject))


def _imported(nodes: tuple[ast.AST, ...]) -> dict[str, str]:
    names: dict[str, str] = {}
    for node in nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                whole = alias.name if alias.asname else alias.name.partition(".")[0]
                names[alias.asname or whole] = whole
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            names |= {one.asname or one.name: f"{module}.{one.name}" for one in node.names}
    return names


def _assigned(subject: Subject) -> dict[str, list[tuple[Function | None, ast.expr]]]:
    names: dict[str, list[tuple[Function | None, ast.expr]]] = {}
    for node in subject.nodes:
        if not isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign) or not node.value:
            continue
        for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
            if isinstance(target, ast.Name):
                place = (subject.function_of(node), node.value)
                names.setdefault(target.id, []).append(place)
    return names


def found(
    rule: str,
    message: str,
    node: ast.AST | int | None,
    *,
    warning: bool = False,
    operation: str = "",
) -> Finding:
    """A finding of the static gate; `node` is a node, a line, or nothing."""
    line = node if isinstance(node, int) else getattr(node, "lineno", None)
    severity = Severity.WARNING if warning else Severity.ERROR
    return Finding(Gate.STATIC, rule, plain(message), severity, line, operation)


def plain(text: str, limit: int = 300) -> str:
    """Text of strangers, fit for a line: no control characters, bounded."""
    return _UNPRINTABLE.sub("?", text[: limit * 2])[:limit]


def constant_text(node: ast.AST | None) -> str | None:
    """The text of a plain string constant."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    return None


def argument(call: ast.Call, place: int, name: str) -> ast.expr | None:
    """An argument of a call by position or name."""
    for keyword in call.keywords:
        if keyword.arg == name:
            return keyword.value
    return call.args[place] if 0 <= place < len(call.args) else None


def bound_names(node: ast.AST) -> Iterator[str]:
    """Names that one node binds, deletes or declares."""
    if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
        yield node.id
    elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        yield node.name
    elif isinstance(node, ast.alias):
        yield node.asname or node.name.partition(".")[0]
    elif isinstance(node, ast.arg):
        yield node.arg
    elif isinstance(node, (ast.Global, ast.Nonlocal)):
        yield from node.names
    elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and node.name:
        yield node.name
    elif isinstance(node, ast.MatchMapping) and node.rest:
        yield node.rest


def words(text: str) -> frozenset[str]:
    """Names of a list that would be long as one of constants."""
    return frozenset(text.split())
