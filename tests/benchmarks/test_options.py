"""Command lines of the benchmarks."""

import pytest

from tests.benchmarks import control, run, sandbox

KNOWN = {
    "run": (run.options(), list(run.SECTIONS)),
    "sandbox": (sandbox.options(), [*sandbox.PLANS, "peer"]),
    "control": (control.options(), list(control.SECTIONS)),
}


@pytest.mark.parametrize("name", KNOWN)
def test_a_part_that_does_not_exist_is_refused_with_those_that_do(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    parser, parts = KNOWN[name]
    with pytest.raises(SystemExit) as ended:
        parser.parse_args(["--only=no-such-part"])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert all(part in said for part in parts)


@pytest.mark.parametrize("name", KNOWN)
def test_several_parts_may_be_asked_for(name: str) -> None:
    parser, parts = KNOWN[name]
    assert parser.parse_args([f"--only={part}" for part in parts]).only == parts
