"""What ruff says, and what it mends by itself."""

import json
from typing import Any

from generator.scan.subject import found
from generator.scan.tools import ToolError, ruff_program, run
from generator.types import Finding

RULES = {
    "ruff_…": "Bugs and weaknesses that ruff finds (pyflakes, bugbear, security, async); an "
    "error for those that break or endanger, a warning for the rest.",
}
_COMMON = ["--isolated", "--no-cache", "--target-version=py311", "--line-length=100"]
_SELECT = "F,B,S,ASYNC,PLE,RUF006,E7"
_IGNORE = "B008,E701,E702,E741,S101,S104,S105,S106,S107,S311,F401"
_FIXES = "F401,F541,I001,W"
_ERRORS = (
    "invalid-syntax", "F5", "F62", "F63", "F7", "F82", "S1", "S2", "S3", "S4", "S5", "S6", "S7",
    "PLE", "ASYNC2",
)  # fmt: skip
_WARNINGS = {"S110", "S112", "S113", "S105", "S106", "S107", "S108", "S324"}
_FOUND = frozenset({0, 1})


async def check(code: str) -> list[tuple[str, Finding]]:
    """Its code and the finding, with lines of the whole file."""
    command = [
        *ruff_program(), "check", *_COMMON, "--ignore-noqa", "--output-format=json",
        f"--select={_SELECT}", f"--ignore={_IGNORE}", "--stdin-filename=app.py", "-",
    ]  # fmt: skip
    try:
        rows: list[dict[str, Any]] = json.loads(await run(command, code, fine=_FOUND))
    except ValueError:
        raise ToolError("printed no JSON") from None
    return [_finding(row) for row in rows]


def _finding(row: dict[str, Any]) -> tuple[str, Finding]:
    code = row["code"] or "invalid-syntax"
    rule = f"ruff_{code.lower().replace('-', '_')}"
    is_warning = code in _WARNINGS or not code.startswith(_ERRORS)
    return code, found(rule, row["message"], row["location"]["row"], warning=is_warning)


async def mended(body: str) -> str:
    """The body without imports that nothing uses, sorted and formatted; the same if it cannot."""
    check_command = [
        *ruff_program(), "check", *_COMMON, "--ignore-noqa", "--fix", "--quiet", "--exit-zero",
        f"--select={_FIXES}", "--stdin-filename=body.py", "-",
    ]  # fmt: skip
    format_command = [
        *ruff_program(),
        "format",
        *_COMMON,
        "--quiet",
        "--stdin-filename=body.py",
        "-",
    ]
    try:
        fixed = await run(check_command, body, fine=_FOUND)
        formatted = await run(format_command, fixed, fine=_FOUND)
    except ToolError:
        return body
    return formatted if formatted.strip() else body
