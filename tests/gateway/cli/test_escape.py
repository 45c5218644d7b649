"""The table of `sandgate doctor --escape`, from made-up reports."""

from gateway.cli.escape import exit_status, render
from sandbox.probes.judge import Judged, Verdict
from sandbox.probes.report import TierReport
from sandbox.probes.rows import INSIDE
from sandbox.types import Tier


def made(verdict: Verdict = Verdict.HELD, detail: str = "") -> TierReport:
    rows = {row.number: Judged(Verdict.HELD) for row in INSIDE}
    return TierReport(
        Tier.RUNC, "docker", rows=rows | {11: Judged(verdict, detail)}, missing=["swap limit"]
    )


ABSENT = TierReport(Tier.GVISOR, "gvisor", "the engine has no runtime runsc: [install] it")


def test_a_machine_on_which_all_holds() -> None:
    shown = render([ABSENT, made()])
    assert shown.count("held") == len(INSIDE)
    assert "gvisor: not tried: the engine has no runtime runsc: [install] it" in shown
    assert "runc: not on this machine: swap limit" in shown
    assert exit_status([ABSENT, made()]) == 0


def test_what_escaped_is_in_words_and_in_the_exit_status() -> None:
    bad = made(Verdict.ESCAPED, "calls: mount (ok)")
    assert "runc: row 11 escaped: calls: mount (ok)" in render([bad])
    assert exit_status([bad]) == 1


def test_what_is_not_known_is_no_success() -> None:
    unknown = made(Verdict.UNKNOWN, "calls: no answer")
    assert "row 11 unknown" in render([unknown])
    assert exit_status([unknown]) == 1


def test_nothing_that_could_be_tried_is_no_success() -> None:
    assert exit_status([ABSENT]) == 1
    assert render([ABSENT]).startswith("gvisor: not tried")


def test_colours_are_for_terminals() -> None:
    assert "\x1b[" not in render([made()])
    assert "\x1b[" in render([made()], colour=True)
