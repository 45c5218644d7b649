"""What bandit says."""

import json
from typing import Any

from generator.scan.subject import found
from generator.scan.tools import ToolError, bandit_program, run
from generator.types import Finding

RULES = {
    "bandit_…": "Weaknesses that bandit finds; an error from medium severity and confidence on.",
}
_SKIPPED = "B101,B104,B105,B106,B107,B311"
_FOUND = frozenset({0, 1})
_GRAVE = frozenset({"MEDIUM", "HIGH"})


async def check(code: str) -> list[tuple[str, Finding]]:
    """Its code and the finding, with lines of the whole file."""
    command = [*bandit_program(), "-q", "-f", "json", "--ignore-nosec", "-s", _SKIPPED, "-"]
    try:
        report: dict[str, Any] = json.loads(await run(command, code, fine=_FOUND))
    except ValueError:
        raise ToolError("printed no JSON") from None
    if report.get("errors"):
        raise ToolError("could not read the code")
    return [_finding(row) for row in report["results"]]


def _finding(row: dict[str, Any]) -> tuple[str, Finding]:
    is_grave = row["issue_severity"] in _GRAVE and row["issue_confidence"] in _GRAVE
    rule = f"bandit_{row['test_id'].lower()}"
    return row["test_id"], found(rule, row["issue_text"], row["line_number"], warning=not is_grave)
