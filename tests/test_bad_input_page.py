"""The page of bad input names tests that exist."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
NAMED = re.compile(r"`(tests/[\w/]+\.py)` `(test_\w+)`")


def test_every_test_that_the_page_names_is_there() -> None:
    named = NAMED.findall((ROOT / "docs" / "bad-input.md").read_text())
    assert len(named) > 25
    missing = [(file, test) for file, test in named if test not in names_in(ROOT / file)]
    assert missing == []


def names_in(path: Path) -> set[str]:
    """Names of the functions of a file."""
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    tree = ast.walk(ast.parse(path.read_text()))
    return {node.name for node in tree if isinstance(node, functions)}
