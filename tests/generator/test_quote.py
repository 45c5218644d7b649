"""Texts of others stay data."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from generator.quote import block, clean, data, listed
from generator.types import Finding, Gate, Severity


def finding(message: str, gate: Gate = Gate.SANDBOX, **more: object) -> Finding:
    plain: dict[str, object] = {"gate": str(gate), "rule": "rule", "message": message, **more}
    return Finding.from_json(plain)


@settings(max_examples=50)
@given(st.recursive(st.text(), lambda inner: st.dictionaries(st.text(), inner), max_leaves=5))
def test_data_is_one_value_that_cannot_end_its_mark(value: object) -> None:
    text = data("request", value)
    inside = text.removeprefix('<data name="request">').removesuffix("</data>")
    assert "<" not in inside
    assert "\n" not in inside
    text.encode()
    read = json.loads(inside)
    wanted = json.dumps(value, sort_keys=True, ensure_ascii=False).encode("utf-8", "replace")
    assert json.dumps(read, sort_keys=True, ensure_ascii=False) == wanted.decode()


@given(st.text())
def test_a_block_holds_the_text_as_it_is_and_not_its_own_end(text: str) -> None:
    first, _, rest = block("body", text).partition("\n")
    mark = first.partition('mark="')[2][:16]
    inside, end, after = rest.rpartition(f"\n</data {mark}>")
    assert inside == text.encode("utf-8", "replace").decode()
    assert end
    assert after == ""
    assert mark not in inside


@given(st.text(), st.integers(min_value=10, max_value=50))
def test_cleaned_text_is_short_and_can_be_printed(text: str, limit: int) -> None:
    told = clean(text, limit)
    assert len(told) <= limit + 3
    assert all(one.isprintable() or one in "\n\t\u2028\u2029" or one.isspace() for one in told)


def test_both_ends_of_a_long_text_are_kept() -> None:
    assert clean("begin" + "x" * 10_000 + "end", 20) == "beginxxxxx … xxxxxxxend"


def test_each_problem_is_told_once_and_what_stops_comes_first() -> None:
    found = [
        finding("small", severity=str(Severity.WARNING)),
        finding("expected 3"),
        finding("expected 4"),
        finding("no", Gate.STATIC),
    ]
    assert [one["message"] for one in listed(found)] == ["no", "expected 3", "small"]


def test_excerpts_are_bounded_in_all() -> None:
    found = [finding("x" * n, detail="log " * 5_000) for n in range(1, 100)]
    told = listed(found)
    assert len(told) == 25
    assert sum(len(one.get("detail", "")) for one in told) <= 8_100
