"""Whatever a model says in whatever order, a job ends, and with one of three events."""

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from generator.llm.base import Answer, RefusedError
from generator.types import EventKind
from tests.support.model_double import (
    ALLOWED,
    DRAFT,
    WISH,
    ModelDouble,
    events_of,
    parts,
    replaces,
    says,
    uses,
    writes,
)

LINES = st.sampled_from(
    ["# static: a\n", "# sandbox: b\n", "# sandbox: c\n", "# guard: d\n", "# unreadable\n", "x\n"]
)
BODIES = st.lists(LINES, max_size=5).map("".join)
PIECES = st.one_of(LINES, st.text(max_size=5))
VALUES = st.dictionaries(
    st.sampled_from(["old", "new", "body", "x"]), st.one_of(st.text(max_size=5), st.none())
)
ANSWERS = st.one_of(
    BODIES.map(writes),
    st.lists(st.tuples(PIECES, PIECES), max_size=3).map(lambda edits: replaces(*edits)),
    st.text(max_size=10).map(says),
    st.tuples(st.sampled_from(["write_body", "replace", "rm"]), VALUES).map(uses),
)
ENDS = {EventKind.CHECKED, EventKind.GAVE_UP, EventKind.FAILED}


@settings(max_examples=60, deadline=None)
@given(st.lists(ANSWERS, max_size=10), st.booleans())
def test_it_ends(answers: list[Answer], has_stronger: bool) -> None:
    refusal = [RefusedError("That is all.")]
    stronger = ModelDouble(*answers[5:], *refusal) if has_stronger else None
    model = ModelDouble(ALLOWED, DRAFT, *answers, *refusal)
    events = asyncio.run(events_of(WISH, parts(model, stronger=stronger)))
    assert [event.kind for event in events if event.kind in ENDS] == [events[-1].kind]
    assert events[-1].data.get("code") != "generation_failed"
    assert sum(event.kind is EventKind.REPAIR for event in events) <= 3
    if events[-1].kind is EventKind.CHECKED:
        assert "static" not in events[-1].data["body"]
