"""All scenarios; `python -m` this module writes the table of them into docs/generation.md."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.support.scenarios.bad import HOPELESS, HOSTILE
from tests.support.scenarios.base import Scenario
from tests.support.scenarios.good import GOOD, REPAIRABLE

PAGE = Path(__file__).parents[3] / "docs/generation.md"
BEGIN, END = "<!-- scenarios -->\n", "<!-- end of scenarios -->"
GROUPS: dict[str, Sequence[Scenario]] = {
    "good": GOOD,
    "repairable": REPAIRABLE,
    "hopeless": HOPELESS,
    "hostile": HOSTILE,
}
ALL = tuple(one for group in GROUPS.values() for one in group)


def renewed(page: str) -> str:
    """The page with the table as it is now."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + "\n".join(_lines()) + "\n" + END + after


def _lines() -> Iterator[str]:
    yield "| scenario | kind | what happens | ends with |"
    yield "|---|---|---|---|"
    for kind, scenarios in GROUPS.items():
        for one in scenarios:
            yield f"| `{one.name}` | {kind} | {one.what} | {one.outcome} |"


if __name__ == "__main__":
    PAGE.write_text(renewed(PAGE.read_text()))
