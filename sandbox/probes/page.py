"""The catalogue as a page: `python -m sandbox.probes.page` prints it, a test compares it."""

import sys
from collections.abc import Iterator
from itertools import groupby

from sandbox.probes.row import Row
from sandbox.probes.rows import ROWS

_HEAD = """# What hostile code tries

**Context.** Code from anywhere runs here. This is the list of what such code is known to try, each row with the wall that stands in its way and the tests that show it.

**Decision.** Every row is a value in `sandbox/probes`. Those that can be tried from inside are tried from inside, by `sandbox/probes/inside.py` and `sandbox/probes/greedy.py`, on every tier a machine has: in the tests, and on an operator's own machine by `sandgate doctor --escape`, which prints a verdict for each row and tier and leaves nothing behind. While something is used up, a neighbour in another sandbox is called all the time and must answer.

**Consequences.** A verdict is about this machine and these attempts; it is no proof that there is no other way. Where the kernel is asked, `gvisor` answers with a kernel of its own and the host's is never asked, so its answer may differ from the other tiers' and is held all the same. On `bwrap` a machine without control groups cannot bound memory and processes together; the doctor says so.

**Enforced by.** `tests/hostile/test_rows.py`, `tests/hostile/test_catalogue.py`; this page is made by `python -m sandbox.probes.page` and compared with its source.
"""  # noqa: E501 - paragraphs of a page
_INSIDE = "inside, on every tier"


def page() -> str:
    """The whole page."""
    parts = [_HEAD]
    for group, rows in groupby(ROWS, lambda row: row.group):
        parts.append(f"\n## {group}\n\n")
        parts.append("| # | what is tried | what holds it | tried | shown by |\n")
        parts.append("|--:|---|---|---|---|\n")
        parts += [_line(row) for row in rows]
    parts.append("\n## What is not held\n\n")
    parts += [f"- Row {row.number}: {row.gap}.\n" for row in ROWS if row.gap]
    parts.append("\n## What cannot apply\n\n")
    absent = list(_absent())
    parts += absent or ["Every row applies to every tier.\n"]
    return "".join(parts)


def _line(row: Row) -> str:
    tried = _INSIDE if row.looks or row.hogs else "from outside"
    shown = "<br>".join(f"`{test}`" for test in row.shown_by)
    return f"| {row.number} | {row.title} | {row.wall} | {tried} | {shown} |\n"


def _absent() -> Iterator[str]:
    for row in ROWS:
        for tier, reason in row.absent.items():
            yield f"- Row {row.number} on `{tier}`: {reason}.\n"


if __name__ == "__main__":
    sys.stdout.write(page())
