"""The static gate as a whole: every rule finds its fault on its line, and nothing takes it down."""

import asyncio
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generator import scan as gate
from generator.contract import Contract
from generator.scan import bandit, merging, of_rules, reading, ruff, scan, tools
from generator.scan.rules import ALL
from generator.scan.subject import Subject, found
from generator.template import assemble, body_of
from generator.types import Finding, Gate, Severity
from tests.support.bodies import BAD, GOOD, Bad
from tests.support.contracts import BODY, contract

OURS = [bad for bad in BAD if not bad.rule.startswith("ruff")]
OWN = {rule for module in (*ALL, reading) for rule in module.RULES}


def quick(one: Contract, body: str) -> list[Finding]:
    """Our own rules alone, without child processes."""
    read = reading.read(one, body)
    return of_rules(read) if isinstance(read, Subject) else list(read)


@pytest.mark.parametrize("bad", OURS, ids=lambda bad: f"{bad.rule}:{bad.text[:30]!r}")
def test_each_fault_is_found_on_its_line(bad: Bad) -> None:
    findings = quick(contract(**bad.contract), bad.text and f"{bad.text}\n")
    places = {finding.line for finding in findings if finding.rule == bad.rule}
    assert places, findings
    assert bad.line is None or bad.line in places


@pytest.mark.parametrize("text", GOOD)
def test_what_is_fine_is_let_pass(text: str) -> None:
    assert quick(contract(), f"{text}\n\n{BODY}") == []


def test_every_rule_has_a_body_that_it_refuses() -> None:
    elsewhere = {"route_missing", "route_twice", "route_shadowed", "route_status_differs"}
    assert {bad.rule for bad in BAD} >= OWN - elsewhere - {"response_not_described"}


async def test_a_good_body_has_no_findings() -> None:
    scanned = await scan(contract(), BODY)
    assert scanned == gate.Scanned(BODY, ())


async def test_unused_imports_and_format_are_mended_and_our_part_is_untouched() -> None:
    scanned = await scan(contract(), "import json\nimport re,math\n\n\n\n\nx=math.pi\n" + BODY)
    assert scanned.findings == ()
    assert scanned.body.startswith("import math\n\nx = math.pi\n")
    assert body_of(assemble(contract(), scanned.body), contract()) == scanned.body


@pytest.mark.parametrize("bad", [bad for bad in BAD if bad.rule.startswith("ruff")])
async def test_findings_of_tools_have_lines_of_the_body(bad: Bad) -> None:
    scanned = await scan(contract(), f"{bad.text}\n\n\n{BODY}")
    assert [(one.rule, one.line) for one in scanned.findings] == [(bad.rule, bad.line)]


async def test_one_fault_is_told_once_by_whoever_knows_it_best() -> None:
    body = f"def f(c, x):\n    c.execute(f'select * from t where a = {{x}}')\n\n\n{BODY}"
    scanned = await scan(contract(), body)
    assert [one.rule for one in scanned.findings] == ["sql_built_from_text"]


async def test_comments_do_not_switch_the_tools_off() -> None:
    body = f"# ruff: noqa\nimport hashlib\n\nx = hashlib.md5(b'')  # noqa # nosec\n\n\n{BODY}"
    scanned = await scan(contract(), body)
    assert [one.rule for one in scanned.findings] == ["ruff_s324"]


async def test_a_tool_that_does_not_finish_stops_the_candidate(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bandit, "bandit_program", lambda: ["/bin/false"])
    monkeypatch.setattr(ruff, "ruff_program", lambda: ["/nonexistent"])
    scanned = await scan(contract(), BODY)
    assert [one.rule for one in scanned.findings if one.stops] == ["check_incomplete"] * 2


async def test_a_tool_that_hangs_is_ended() -> None:
    with pytest.raises(tools.ToolError, match="took longer"):
        await tools.run(["/bin/sleep", "600"], "", fine=frozenset({0}), seconds=0.1)


async def test_cancelling_ends_the_tool(tmp_path: Path) -> None:
    fifo = tmp_path / "begun"
    os.mkfifo(fifo)
    command = ["/bin/sh", "-c", f"echo $$ > {fifo}; exec sleep 600"]
    task = asyncio.create_task(tools.run(command, "", fine=frozenset({0})))
    pid = int(await asyncio.to_thread(fifo.read_text))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not Path(f"/proc/{pid}").exists()


@pytest.mark.parametrize(
    "body",
    [
        "x" * 1_000_000,
        "(" * 90_000,
        "\n" * 1_000_000,
        "\0" * 1_000,
        "\udfff",
        "x = '''" + "{" * 3_000,
        "lambda: " * 400 + "1",
        "not " * 900 + "1",
        "await " * 600 + "1",
        "if 1:\n" + "".join(" " * n + "if 1:\n" for n in range(1, 99)) + " " * 99 + "x",
        "x = 1" + "if 1 else 1" * 300,
        "a" + "[a" * 150 + "]" * 150,
        "f'" + '{f"' * 2 + "x",
        "9" * 3_999,
        "import re\nre.compile(" + repr("(" * 499 + ")" * 499) + ")",
        "import re\nre.compile('(' * 200 + 'a{99999999999}')\nre.compile('a{99999999999999}')",
        "#" * 3_000 + "\r" + "x" * 9,
        "match x:\n case " + "[" * 90 + "]" * 90 + ": pass",
        "\ufeffx = 1",
    ],
    ids=lambda body: repr(body[:12]),
)
async def test_hostile_text_gives_findings(body: str) -> None:
    scanned = await scan(contract(), body)
    assert any(finding.stops for finding in scanned.findings)
    assert all(finding.gate is Gate.STATIC for finding in scanned.findings)
    assert all(len(finding.message) <= 300 for finding in scanned.findings)


@given(st.text())
def test_no_text_at_all_raises(body: str) -> None:
    quick(contract(), reading.normal(body))


PIECES = st.sampled_from([bad.text[:400] for bad in BAD] + [*GOOD, BODY, "    ", "\n", "(", ":"])


@settings(max_examples=60, deadline=None)
@given(st.lists(PIECES, max_size=5).map("\n".join))
def test_no_mixture_of_code_raises(body: str) -> None:
    for finding in quick(contract(), reading.normal(body)):
        assert "\n" not in finding.message


def test_a_secret_is_not_repeated_in_its_finding() -> None:
    for body in ("API_KEY = 'sg7Gh29Lmq0Zx'\n", "x = 'sg_live_sg7Ghabcdefghijklm'\n"):
        assert "sg7G" not in str(quick(contract(), body))


def test_an_operation_without_route_is_named() -> None:
    (finding,) = quick(contract(), "x = 1\n")
    assert (finding.rule, finding.operation) == ("route_missing", "read_item")


def test_a_route_that_is_there_twice_is_found() -> None:
    again = BODY.replace("read_item", "again").split("\n\n\n")[-1]
    assert [one.rule for one in quick(contract(), f"{BODY}\n\n{again}")] == ["route_twice"]


def test_a_route_behind_one_that_takes_its_calls_is_found() -> None:
    operations = [
        contract().operations[0].model_dump(by_alias=True),
        {
            "id": "newest",
            "method": "GET",
            "path": "/items/newest",
            "summary": "One",
            "examples": [{"name": "x", "path": "/items/newest", "status": 200}],
        },
    ]
    newest = '@router.get("/items/newest")\nasync def newest() -> int:\n    return 1\n'
    both = contract(operations=operations)
    assert [one.rule for one in quick(both, f"{BODY}\n\n{newest}")] == ["route_shadowed"]
    imports, routes = BODY.split("\n\n\n", 1)
    assert quick(both, f"{imports}\n\n\n{newest}\n\n{routes}") == []


@pytest.mark.parametrize(
    ("decorator", "returns", "rule"),
    [
        ('"/items/{item_id}", status_code=201', "-> Item", "route_status_differs"),
        ('"/items/{item_id}"', "", "response_not_described"),
        ('"/items/{item_id:int}"', "-> Item", None),
    ],
)
def test_what_a_route_states_of_its_answer(decorator: str, returns: str, rule: str | None) -> None:
    body = BODY.replace('"/items/{item_id}"', decorator).replace("-> Item", returns)
    assert [one.rule for one in quick(contract(), body)] == ([rule] if rule else [])


def test_many_findings_are_bounded_and_errors_come_first() -> None:
    own = [found("b", f"{n}", n, warning=True) for n in range(1, 200)]
    own.append(found("a", "grave", 150))
    kept = merging.merged(own, [], offset=0, lines=200)
    assert len(kept) == merging.MAX_FINDINGS
    assert [one.rule for one in kept if one.severity is Severity.ERROR] == ["a"]


@pytest.mark.parametrize(
    "text",
    [
        "x = (y.z(1), [b for b in c], f'<b>{e}</b>')\n" * 1_500,
        "".join(f"a{n} = a{n - 1} + f'<b>{{a{n + 1}}}</b>'\n" for n in range(1, 2_000)),
        "import re\n" + "p = 'a'\nre.compile(p)\n'{}'.format(p)\n" * 800,
        "def f(c):\n" + " s = 'a'\n c.execute(s)\n" * 1_200,
    ],
    ids=["tags", "chain", "patterns", "statements"],
)
def test_the_largest_bodies_are_looked_at_within_the_tests_deadline(text: str) -> None:
    assert quick(contract(), text)
