"""Forms and uses of tools that somebody wrote down as text."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generator.llm import plain
from generator.llm.base import Tool
from tests.support.models import WRITE, Verdict

GOOD = '{"allowed": true, "reason": "fine"}'
REPLACE = Tool("replace", "Edit.", {"type": "object", "properties": {"old": {}, "new": {}}})


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        f"```json\n{GOOD}\n```",
        f"Sure!\n```\n{GOOD}\n```\nAnything else?",
        f"The answer is {GOOD}, I think.",
        f'{{"other": 1}} and then {GOOD}',
        f"not {{this}} but {GOOD}",
    ],
)
def test_a_form_is_found_in_text(text: str) -> None:
    assert plain.read(text, Verdict) == Verdict(allowed=True, reason="fine")


@pytest.mark.parametrize("text", ["", "no", "{", '{"allowed": 1', "[1, 2]", "null"])
def test_no_form_is_no_form(text: str) -> None:
    with pytest.raises(ValueError, match=r"no JSON|validation"):
        plain.read(text, Verdict)


def test_a_complaint_names_each_fault_and_repeats_no_input() -> None:
    with pytest.raises(ValueError, match="validation") as caught:
        plain.read('{"allowed": "SECRET"}', Verdict)
    told = plain.complaint(caught.value)
    assert "- allowed:" in told
    assert "- reason: Field required" in told
    assert "SECRET" not in told


@pytest.mark.parametrize(
    "text",
    [
        '<tool_call>{"name": "write_body", "arguments": {"body": "x"}}</tool_call>',
        '<tool_call>\n{"name": "write_body", "arguments": "{\\"body\\": \\"x\\"}"}\n</tool_call>',
        '```json\n{"name": "write_body", "input": {"body": "x"}}\n```',
        'I use {"name": "write_body", "parameters": {"body": "x"}} now.',
        '{"type": "function", "function": {"name": "write_body", "arguments": {"body": "x"}}}',
        '<tool_call>{"name": "write_body", "arguments": {"body": "x"}}',
        "Here:\n```python\nx```",
    ],
)
def test_a_use_is_found_in_text(text: str) -> None:
    uses = plain.uses(text, (WRITE,))
    if "python" in text:
        assert uses == ()
    else:
        assert [(use.name, use.input) for use in uses] == [("write_body", {"body": "x"})]


def test_one_block_of_code_is_meant_for_the_only_tool() -> None:
    (use,) = plain.uses("Here it is:\n```python\nx = 1\n```\nDone.", (WRITE,))
    assert use.input == {"body": "x = 1\n"}


def test_a_block_is_not_guessed_at_when_there_is_a_choice() -> None:
    assert plain.uses("```python\nx = 1\n```", (WRITE, REPLACE)) == ()
    assert plain.uses("```\na\n```\n```\nb\n```", (WRITE,)) == ()


def test_a_tool_that_was_not_offered_is_not_used() -> None:
    assert plain.uses('<tool_call>{"name": "rm", "input": {}}</tool_call>', (WRITE,)) == ()


def test_a_use_that_is_written_twice_is_one() -> None:
    call = '{"name": "write_body", "input": {"body": "x"}}'
    assert len(plain.uses(f"```json\n{call}\n```\n{call}", (WRITE,))) == 1


@given(st.text())
def test_any_text_is_read_without_an_error(text: str) -> None:
    plain.uses(text, (WRITE, REPLACE))
    list(plain.objects(text))


@pytest.mark.parametrize("part", ["{", '{"a":', "```\n", "<tool_call>", "[" * 50 + "{"])
def test_hostile_text_is_read_to_its_end(part: str) -> None:
    assert plain.uses(part * 20_000, (WRITE,)) == ()


@given(st.dictionaries(st.text(), st.text() | st.integers()))
def test_an_input_survives_being_written_down(given_input: dict[str, object]) -> None:
    call = json.dumps({"name": "write_body", "arguments": given_input})
    (use,) = plain.uses(f"<tool_call>{call}</tool_call>", (WRITE,))
    assert use.input == given_input
