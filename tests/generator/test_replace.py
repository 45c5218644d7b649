"""Edits by exact match: once or not at all, together or not at all, proven by their result."""

from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from generator.replace import (
    MAX_EDITS,
    REPLACE,
    WRITE_BODY,
    Applied,
    Edit,
    apply,
    body_in,
    diff,
    digest,
    edit_of,
)
from generator.scan.reading import MAX_CHARACTERS
from generator.types import Finding, Gate

BODY = "a = 1\nb = 2\nc = 1\n"


def test_an_edit_applies_and_proves_it() -> None:
    applied = apply(BODY, [Edit("b = 2", "b = 3\nd = 4")])
    assert isinstance(applied, Applied)
    assert applied.body == "a = 1\nb = 3\nd = 4\nc = 1\n"
    assert applied.digest == digest(applied.body) != digest(BODY)
    assert applied.lines == (2, 3)
    assert applied.diff.splitlines() == [
        "--- a/app.py",
        "+++ b/app.py",
        "@@ -1,3 +1,4 @@",
        " a = 1",
        "-b = 2",
        "+b = 3",
        "+d = 4",
        " c = 1",
    ]


def test_later_edits_see_what_earlier_ones_made() -> None:
    applied = apply(BODY, [Edit("b = 2", "b = 3"), Edit("b = 3", "b = 4")])
    assert isinstance(applied, Applied)
    assert applied.body == "a = 1\nb = 4\nc = 1\n"


@pytest.mark.parametrize(
    ("edits", "rule", "line", "told"),
    [
        ([], "edit_empty", None, "between 1 and"),
        ([Edit("", "x")], "edit_empty", None, "nothing to replace"),
        ([Edit("a", "a")], "edit_changes_nothing", None, "by itself"),
        ([Edit("a = 1", "x"), Edit("x", "a = 1")], "edit_changes_nothing", None, "together"),
        ([Edit("= 1", "= 5")], "edit_ambiguous", 1, "lines 1, 3"),
        ([Edit("z = 9", "x")], "edit_not_found", None, "not in the code"),
        ([Edit("b  = 2", "x")], "edit_not_found", None, "not in the code"),
        ([Edit("  b = 2\nc = 2", "x")], "edit_not_found", 2, "line 2"),
        ([Edit("a = 1", "x" * MAX_CHARACTERS)], "edit_too_large", None, "at most"),
        ([Edit("a = 1", "x" * (MAX_CHARACTERS + 1))], "edit_too_large", None, "too large"),
        ([Edit("a = 1", "x")] * (MAX_EDITS + 1), "edit_too_large", None, "between 1"),
    ],
)
def test_what_cannot_be_applied_is_told(
    edits: list[Edit], rule: str, line: int | None, told: str
) -> None:
    findings = apply(BODY, edits)
    assert isinstance(findings, tuple)
    assert [(one.gate, one.rule, one.line) for one in findings] == [(Gate.EDIT, rule, line)]
    assert told in findings[0].message


def test_overlapping_places_are_more_than_one() -> None:
    findings = apply("aaa", [Edit("aa", "b")])
    assert isinstance(findings, tuple)
    assert findings[0].rule == "edit_ambiguous"


def test_one_bad_edit_keeps_all_from_applying_and_each_is_told() -> None:
    findings = apply(BODY, [Edit("b = 2", "b = 3"), Edit("x", "y"), Edit("z", "y")])
    assert isinstance(findings, tuple)
    assert [one.message.partition(":")[0] for one in findings] == ["edit 2", "edit 3"]


@given(st.text(), st.text(min_size=1), st.text(), st.text())
def test_only_what_was_named_changes(before: str, old: str, new: str, after: str) -> None:
    assume(old != new)
    result = apply(before + old + after, [Edit(old, new)])
    if isinstance(result, Applied):
        assert result.body == before + new + after
    else:
        assert result[0].rule == "edit_ambiguous"


@given(st.text(), st.text())
def test_the_diff_is_empty_only_for_the_same(before: str, after: str) -> None:
    assert (diff(before, after) == "") is (before == after)


@pytest.mark.parametrize(
    "values", [{}, {"old": "a"}, {"old": 1, "new": ""}, {"old": "a", "new": "b", "x": 1}]
)
def test_another_input_than_the_tools_is_a_finding(values: dict[str, Any]) -> None:
    assert isinstance(edit_of(values), Finding)
    assert isinstance(body_in(values), Finding)


def test_what_tools_bring_is_read() -> None:
    assert edit_of({"old": "a", "new": ""}) == Edit("a", "")
    assert body_in({"body": "x = 1\n"}) == "x = 1\n"
    assert body_in({"body": "```python\nx = 1\n```"}) == "x = 1\n"
    assert isinstance(body_in({"body": " \n"}), Finding)
    assert isinstance(body_in({"body": "x" * (MAX_CHARACTERS + 1)}), Finding)


@pytest.mark.parametrize("tool", [WRITE_BODY, REPLACE], ids=lambda tool: tool.name)
def test_schemas_are_closed_and_ask_for_every_field(tool: Any) -> None:
    assert tool.schema["additionalProperties"] is False
    assert set(tool.schema["required"]) == set(tool.schema["properties"])
