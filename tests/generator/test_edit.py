"""A live API changed in words."""

from generator.types import EventKind, Previous, Wish
from tests.support.gate_contracts import contract
from tests.support.model_double import (
    ALLOWED,
    DRAFT,
    ModelDouble,
    end_of,
    events_of,
    parts,
    replaces,
    says,
    told,
    uses,
)

LIVE = Previous(contract(), "# guard: limit\n# live\n")


async def test_an_edit_changes_the_live_body() -> None:
    model = ModelDouble(ALLOWED, DRAFT, replaces(("# live", "# changed")))
    events = await events_of(Wish("Change it.", previous=LIVE), parts(model))
    assert events[-1].data["body"] == "# guard: limit\n# changed\n"
    assert events[-1].data["level"] == "patch"
    written = next(event for event in events if event.kind is EventKind.WRITTEN)
    assert "+# changed" in written.data["diff"]
    assert [prompt.purpose for prompt in model.prompts] == ["screen", "edit", "edit"]


async def test_a_guard_that_an_edit_drops_is_told_and_stops_nothing() -> None:
    edit = replaces(("# guard: limit\n", ""))
    events = await told(ALLOWED, DRAFT, edit, wish=Wish("Change it.", previous=LIVE))
    assert events[-1].kind is EventKind.CHECKED
    assert [(one["rule"], one["severity"]) for one in events[-1].data["findings"]] == [
        ("guard_dropped", "warning")
    ]


async def test_a_repair_of_an_edit_keeps_the_guards_of_the_edit() -> None:
    edit = replaces(("# live", "# sandbox: a\n# sandbox: b\n# sandbox: c"))
    repair = replaces(
        ("# guard: limit\n", ""), ("# sandbox: a\n", ""), ("# sandbox: b\n", ""),
        ("# sandbox: c\n", ""),
    )  # fmt: skip
    again = replaces(("\n", "\n"))
    events = await told(ALLOWED, DRAFT, edit, repair, again, again, wish=Wish("x", previous=LIVE))
    assert events[-1].kind is EventKind.GAVE_UP


async def test_an_edit_may_leave_the_body_as_it_is() -> None:
    keep = uses(("keep_body", {}))
    events = await told(ALLOWED, DRAFT, keep, wish=Wish("Rename it.", previous=LIVE))
    assert events[-1].data["body"] == LIVE.body


async def test_an_edit_in_prose_fails_and_the_live_one_stays() -> None:
    prose = says("Done!")
    wish = Wish("Change it.", previous=LIVE)
    assert await end_of(ALLOWED, DRAFT, prose, prose, wish=wish) == (
        "failed",
        "model_answer_unusable",
    )
