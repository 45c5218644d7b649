"""The catalogue is complete, names what exists, and is the page that is printed."""

import ast
from functools import cache
from pathlib import Path

import pytest

from sandbox.probes import escape
from sandbox.probes.judge import LOOKS
from sandbox.probes.page import page
from sandbox.probes.row import Row
from sandbox.probes.rows import INSIDE, ROWS

ROOT = Path(__file__).parent.parent.parent
PROBES = ROOT / "sandbox" / "probes"


@cache
def functions_of(path: Path) -> frozenset[str]:
    """Names of functions in a file; none when there is no such file."""
    if not path.exists():
        return frozenset()
    tree = ast.parse(path.read_text())
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, kinds))


def test_there_are_67_rows_in_order() -> None:
    assert [row.number for row in ROWS] == list(range(1, 68))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: str(row.number))
def test_every_row_names_tests_that_exist(row: Row) -> None:
    assert row.shown_by
    for test in row.shown_by:
        file, _, name = test.partition("::")
        assert name in functions_of(ROOT / file), test


def test_every_probe_is_tried_judged_and_in_a_row() -> None:
    looks = {name for row in INSIDE for name in row.looks}
    hogs = {name for row in INSIDE for name in row.hogs}
    assert looks == set(LOOKS) == {*escape.LOOKS, "search", "neighbour"} - {""}
    assert hogs | {"kill_all"} == set(escape.HOGS)
    assert set(escape.LOOKS) <= functions_of(PROBES / "inside.py")
    assert {name.replace("-", "_") for name in hogs} <= functions_of(PROBES / "greedy.py")


def test_a_tier_left_out_says_why() -> None:
    for row in ROWS:
        assert all(row.absent.values())


def test_the_page_is_the_one_that_was_made() -> None:
    made = (ROOT / "docs" / "sandbox-probes.md").read_text()
    assert made == page(), "run: python -m sandbox.probes.page > docs/sandbox-probes.md"


@pytest.mark.parametrize("name", ["inside", "greedy"])
def test_hostile_code_is_never_imported(name: str) -> None:
    for path in [*ROOT.glob("gateway/**/*.py"), *ROOT.glob("sandbox/**/*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                whole = [f"{node.module}.{alias.name}" for alias in node.names]
                assert f"sandbox.probes.{name}" not in [node.module, *whole], path
            elif isinstance(node, ast.Import):
                assert f"sandbox.probes.{name}" not in [alias.name for alias in node.names], path
