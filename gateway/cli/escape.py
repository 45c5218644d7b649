"""`sandgate doctor --escape`: what code that wants out comes to on this machine, as a table."""

import io
import sys
from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape as plain
from rich.table import Table

from gateway.settings import Settings
from sandbox.probes.host import examine_host
from sandbox.probes.judge import Verdict
from sandbox.probes.report import BAD, TierReport
from sandbox.probes.rows import INSIDE

__all__ = ["TierReport", "exit_status", "render", "try_escape"]

_COLOURS = {
    Verdict.HELD: "green",
    Verdict.ESCAPED: "bold red",
    Verdict.UNKNOWN: "yellow",
    Verdict.NOT_APPLICABLE: "dim",
}
_WIDTH = 110


async def try_escape(settings: Settings) -> list[TierReport]:
    """Try everything on every tier of this machine; what is going on is told on stderr."""

    def progress(what: str) -> None:
        print(f"  {what}", file=sys.stderr, flush=True)

    return await examine_host(settings.data_dir, settings.base_image, progress)


def exit_status(reports: Sequence[TierReport]) -> int:
    """0 when something could be tried and everything held."""
    tried = [report for report in reports if not report.trouble]
    return 0 if tried and all(report.holds for report in tried) else 1


def render(reports: Sequence[TierReport], *, colour: bool = False) -> str:
    """A table with a column for each tier that was tried, then what needs words."""
    tried = [report for report in reports if not report.trouble]
    out = io.StringIO()
    console = Console(file=out, width=_WIDTH, force_terminal=colour, highlight=False)
    if tried:
        console.print(_table(tried))
    for report in reports:
        for line in _words(report):
            console.print(line)
    return out.getvalue().rstrip()


def _table(tried: Sequence[TierReport]) -> Table:
    table = Table("#", "what was tried", *(str(report.tier) for report in tried))
    for row in INSIDE:
        verdicts = [report.rows[row.number].verdict for report in tried]
        cells = [f"[{_COLOURS[verdict]}]{verdict}[/]" for verdict in verdicts]
        table.add_row(str(row.number), row.title, *cells)
    return table


def _words(report: TierReport) -> list[str]:
    """Why a tier was not tried; what did not hold; what this machine does not give."""
    if report.trouble:
        return [f"{report.tier}: not tried: {plain(report.trouble)}"]
    lines = [
        f"{report.tier}: row {number} {one.verdict}: {plain(one.detail)}"
        for number, one in report.rows.items()
        if one.verdict in (*BAD, Verdict.NOT_APPLICABLE)
    ]
    if report.missing:
        lines.append(f"{report.tier}: not on this machine: {', '.join(report.missing)}")
    return lines or [f"{report.tier}: everything held"]
