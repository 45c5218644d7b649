"""The page of the static gate says what the rules say."""

from collections import Counter
from pathlib import Path

from generator import invariants, replace, scan
from generator.scan import bandit, reading, ruff
from generator.scan.rules import ALL
from tests.generator import static_gate_page

ROOT = Path(__file__).parent.parent.parent
MODULES = (*ALL, reading, ruff, bandit, scan, replace, invariants)


def test_the_page_is_the_one_that_was_made() -> None:
    made = (ROOT / "docs" / "static-gate.md").read_text()
    command = "python -m tests.generator.static_gate_page > docs/static-gate.md"
    assert made == static_gate_page.page(), f"run: {command}"


def test_every_rule_has_one_home() -> None:
    homes = Counter(rule for module in MODULES for rule in module.RULES)
    assert [rule for rule, count in homes.items() if count > 1] == []


def test_every_rule_module_is_asked() -> None:
    folder = ROOT / "generator" / "scan" / "rules"
    names = {path.stem for path in folder.glob("*.py")} - {"__init__"}
    assert {module.__name__.rpartition(".")[2] for module in ALL} == names
