"""A job that is left, cancelled or taken up again."""

import asyncio
from contextlib import aclosing
from typing import Any

import pytest

from generator.llm.base import Answer, OnText, Prompt
from generator.loop import run
from generator.resume import checkpoint_of
from generator.types import Checkpoint, Event, EventKind, Wish
from tests.support.gate_contracts import contract
from tests.support.model_double import (
    ALLOWED,
    DRAFT,
    WISH,
    ModelDouble,
    events_of,
    kinds,
    parts,
    replaces,
    told,
    writes,
)


async def test_a_job_goes_on_where_its_events_end() -> None:
    first = ModelDouble(ALLOWED, DRAFT, writes("# sandbox: a\n# sandbox: b\n"),
                        replaces(("# sandbox: a\n", "")))  # fmt: skip
    seen: list[Event] = []
    async with aclosing(run(WISH, parts(first))) as events:
        async for event in events:
            seen.append(event)
            if event.kind is EventKind.WRITTEN and event.data["round"] == 1:
                break
    point = checkpoint_of(seen)
    second = ModelDouble(replaces(("# sandbox: b\n", "# fine\n")))
    rest = await events_of(Wish(WISH.prompt, checkpoint=point), parts(second))
    assert kinds(rest) == [
        "started", "cases", "written", "gate", "gate", "gate", "repair", "writing", "written",
        "gate", "gate", "gate", "checked",
    ]  # fmt: skip
    assert rest[-1].data["round"] == 2


async def test_a_checkpoint_with_a_contract_pays_for_no_other() -> None:
    wish = Wish("x", checkpoint=Checkpoint(contract()))
    assert kinds(await told(writes("# fine\n"), wish=wish))[:2] == ["started", "cases"]


async def test_a_contract_that_somebody_changed_keeps_to_the_rules() -> None:
    changed = contract().model_copy(update={"outbound_hosts": ("169.254.169.254",)})
    last = (await told(wish=Wish("x", checkpoint=Checkpoint(changed))))[-1]
    assert (last.kind, last.data["code"]) == (EventKind.FAILED, "contract_unusable")


async def test_a_guard_that_was_dropped_before_the_worker_died_is_still_missed() -> None:
    point = Checkpoint(contract(), "# fine\n", 1, guards="# guard: limit\n")
    events = await told(
        replaces(("# fine\n", "# guard: limit\n")), wish=Wish("x", checkpoint=point)
    )
    gates = [(e.data["gate"], e.data["passed"]) for e in events if e.kind is EventKind.GATE]
    assert ("invariants", False) in gates
    assert events[-1].kind is EventKind.CHECKED


class Hanging(ModelDouble):
    """Never answers, and says when it was given up."""

    def __init__(self, *replies: Any) -> None:
        super().__init__(*replies)
        self.asked, self.left = asyncio.Event(), asyncio.Event()

    def _next(self, prompt: Prompt) -> Any:
        return super()._next(prompt) if self.replies else None

    async def converse(self, prompt: Prompt, on_text: OnText | None = None) -> Answer:
        self.asked.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.left.set()
        raise AssertionError


async def test_cancelling_leaves_nothing() -> None:
    model = Hanging(ALLOWED, DRAFT)
    before = asyncio.all_tasks()
    task = asyncio.create_task(events_of(WISH, parts(model)))
    await model.asked.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert model.left.is_set()
    assert asyncio.all_tasks() == before


async def test_closing_leaves_nothing() -> None:
    model = ModelDouble(ALLOWED, DRAFT)
    before = asyncio.all_tasks()
    async with aclosing(run(WISH, parts(model))) as events:
        async for event in events:
            if event.kind is EventKind.CONTRACT:
                break
    assert asyncio.all_tasks() == before
    assert len(model.prompts) == 2


async def test_nothing_is_paid_for_before_the_event_was_taken() -> None:
    model = ModelDouble(ALLOWED, DRAFT, writes("# fine\n"))
    async with aclosing(run(WISH, parts(model))) as events:
        async for event in events:
            if event.kind is EventKind.CONTRACT:
                for _ in range(20):
                    await asyncio.sleep(0)
                assert len(model.prompts) == 2


async def test_what_does_not_parse_hides_no_guard() -> None:
    point = Checkpoint(contract(), "# unreadable\n", 1, guards="# guard: limit\n")
    bare = replaces(("# unreadable", "# fine"))
    mended = replaces(("# fine", "# guard: limit"))
    events = await told(bare, mended, wish=Wish("x", checkpoint=point))
    assert [e.data["passed"] for e in events if e.data.get("gate") == "invariants"][-2:] == [
        False,
        True,
    ]
    assert events[-1].data["round"] == 3
