"""Generated calls come from a child that finds what breaks the contract, and never hangs."""

import subprocess
import sys
from pathlib import Path

import pytest

from generator import fuzz
from generator.fuzz import Fuzzer
from generator.rehearse import rehearse
from tests.generator.test_rehearse import GOOD, OFFSET, SAID
from tests.support.gate_contracts import contract, example, operation, parameter, whole
from tests.support.trusted_stage import TrustedStage


@pytest.mark.slow
async def test_generated_calls_find_what_examples_do_not() -> None:
    """Good code passes; then one child serves another round, with code that is not."""
    bad = SAID.replace("text.upper()", "text.upper() * (1 // (len(text) != 0))")
    assert bad != SAID
    async with Fuzzer() as fuzzer:
        findings, report = await rehearse(TrustedStage(), contract(), GOOD, OFFSET, fuzzer)
        assert findings == ()
        generated = [case for case in report.cases if case.name.endswith("generated calls")]
        assert {case.operation for case in generated} == {"add_note", "read_note", "shout"}
        assert all(int(case.name.split()[0]) > 0 for case in generated), generated
        stage = TrustedStage()
        found, _ = await rehearse(stage, contract(), GOOD.replace(SAID, bad), OFFSET, fuzzer)
    assert {one.rule for one in found if one.message.startswith("generated")} == {"server_error"}


async def test_a_schema_that_nothing_fits_is_a_finding() -> None:
    """RE2 takes this pattern, what generates does not."""
    odd = operation(
        "odd", "GET", "/odd", example("a", "/odd", 422), example("b", "/odd", query={"a": "b"}),
        parameters=[parameter("a", "query", {"type": "string", "pattern": "^\\pL+$"}, True)],
    )  # fmt: skip
    async with Fuzzer() as fuzzer:
        found, _ = await fuzzer.run(contract(whole(odd)), "/tmp/sgs-nobody")
    assert found
    assert {one.rule for one in found} <= {"generated_calls_failed", "connection_closed"}


@pytest.mark.parametrize(
    "program", ["pass", "while True: pass", "print('{')", "print(' ' * 10**6)"]
)
async def test_a_child_that_goes_wrong_is_a_finding(
    program: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broken = tmp_path / "python"
    broken.write_text(f"#!{sys.executable}\n{program}\n")
    broken.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(broken))
    monkeypatch.setattr(fuzz, "_READY_SECONDS", 0.5)
    async with Fuzzer() as fuzzer:
        found, cases = await fuzzer.run(contract(), "/tmp/sgs-nobody")
    assert [(one.rule, one.stops) for one in found] == [("generated_calls_failed", False)]
    assert cases == []


ATTEMPTS = """
import socket, subprocess, sys
from generator.fuzz_child import _refuse
sys.addaudithook(_refuse)
for attempt in (
    lambda: socket.create_connection(("127.0.0.1", 9)),
    lambda: socket.getaddrinfo("example.com", 80),
    lambda: subprocess.Popen(["true"]),
):
    try:
        attempt()
    except Exception as error:
        print(type(error).__name__)
"""


def test_the_child_reaches_no_network_and_starts_nothing() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", ATTEMPTS], capture_output=True, text=True, check=True
    )
    assert ran.stdout.split() == ["_ForbiddenError"] * 3
