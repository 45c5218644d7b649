"""A model that says what a test wants, and gates that find what stands in a body's comments."""

from collections.abc import AsyncIterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

from pydantic import BaseModel

from generator.contract import Contract
from generator.draft import ContractDraft
from generator.fuzz import Fuzzer
from generator.llm.base import Answer, Form, OnText, Prompt, Purpose, ToolUse
from generator.loop import run
from generator.parts import Gates, Limits, Parts
from generator.screen import Category, Screening
from generator.stage import Stage
from generator.types import CaseResult, Event, EventKind, Finding, Gate, TestReport, Wish
from tests.support import gate_contracts

Reply = Answer | BaseModel | Exception

ALLOWED = Screening(
    allowed=True, category=Category.API, reason="Fine.", questions=[], assumptions=["a"]
)
WISH = Wish("Keep my notes.")
DRAFT = ContractDraft.model_validate(gate_contracts.notes())


def says(text: str) -> Answer:
    """Prose only."""
    return Answer(text, (), "end_turn", "double")


def uses(*inputs: tuple[str, dict[str, Any]]) -> Answer:
    """Uses of tools."""
    made = tuple(ToolUse(f"toolu_{n}", name, value) for n, (name, value) in enumerate(inputs))
    return Answer("", made, "tool_use", "double")


def writes(body: str) -> Answer:
    """A whole body."""
    return uses(("write_body", {"body": body}))


def replaces(*edits: tuple[str, str]) -> Answer:
    """Exact edits."""
    return uses(*(("replace", {"old": old, "new": new}) for old, new in edits))


class ModelDouble:
    """Gives its replies in their order and keeps what it was asked."""

    def __init__(self, *replies: Reply, name: str = "double") -> None:
        self.replies = list(replies)
        self.prompts: list[Prompt] = []
        self.name = name

    def named(self, purpose: Purpose) -> str:
        """Its name."""
        return self.name

    async def converse(self, prompt: Prompt, on_text: OnText | None = None) -> Answer:
        """The next reply."""
        reply = self._next(prompt)
        assert isinstance(reply, Answer), reply
        for use in reply.uses:
            if on_text is not None:
                await on_text(str(use.input))
        return reply

    async def fill(self, prompt: Prompt, form: type[Form]) -> Form:
        """The next reply."""
        reply = self._next(prompt)
        assert isinstance(reply, form), reply
        return reply

    async def stream(self, prompt: Prompt) -> AsyncIterator[str | Answer]:
        """The next reply."""
        reply = self._next(prompt)
        assert isinstance(reply, Answer), reply
        yield reply

    def _next(self, prompt: Prompt) -> Answer | BaseModel:
        self.prompts.append(prompt)
        reply = self.replies.pop(0)
        if isinstance(reply, Exception):
            raise reply
        return reply


class NoStage:
    """For gates that start nothing."""

    def running(self, code: str, contract: Contract) -> Any:
        """Is never asked."""
        raise AssertionError


class ReadDouble:
    """What the static gate's double makes of a body."""

    def __init__(self, body: str) -> None:
        self.body = body
        self.findings = _said(body, Gate.STATIC)


def _said(text: str, gate: Gate) -> tuple[Finding, ...]:
    mark = f"# {gate}: "
    lines = [line for line in text.splitlines() if line.startswith(mark)]
    return tuple(Finding(gate, "rule", line.removeprefix(mark)) for line in lines)


async def scan(_: Contract, body: str) -> ReadDouble:
    """A finding for each `# static: …`."""
    read = ReadDouble(body)
    if "# unreadable" in body:
        read.findings = (Finding(Gate.STATIC, "syntax_error", "No program."),)
    return read


async def tidy(body: str) -> str:
    """Mends nothing."""
    return body


async def rehearse(
    _: Stage, contract: Contract, code: str, offset: int, fuzzer: Fuzzer | None
) -> tuple[tuple[Finding, ...], TestReport]:
    """A finding for each `# sandbox: …`."""
    found = _said(code, Gate.SANDBOX)
    cases = (CaseResult("adds", "example", "add_note", not found),)
    return found, TestReport(cases)


def compare(before: str, after: str) -> tuple[Finding, ...]:
    """A finding for each `# guard: …` that is gone."""
    lines = [line for line in before.splitlines() if line.startswith("# guard: ")]
    return tuple(
        Finding(Gate.INVARIANTS, "guard_dropped", line) for line in lines if line not in after
    )


GATES = Gates(
    assemble=lambda _, body: f"head\n{body}",
    offset=lambda _: 1,
    is_program=lambda _, body: "# unreadable" not in body,
    tidy=tidy,
    scan=scan,
    fuzzer=nullcontext,
    rehearse=rehearse,
    compare=compare,
    cases=lambda _: (5, 7),
)


def parts(model: ModelDouble, **more: Any) -> Parts:
    """Parts around a model."""
    limits = Limits(seconds_between_writing=0)
    return replace(Parts(model, NoStage(), GATES, limits=limits), **more)


def kinds(events: Sequence[Event]) -> list[str]:
    """Which steps there were."""
    return [str(event.kind) for event in events]


async def events_of(wish: Wish, given: Parts) -> list[Event]:
    """All events of one job."""
    return [event async for event in run(wish, given)]


async def told(*replies: Any, wish: Wish = WISH, **more: Any) -> list[Event]:
    """The same with these replies."""
    return await events_of(wish, parts(ModelDouble(*replies), **more))


async def end_of(*replies: Any, wish: Wish = WISH, **more: Any) -> tuple[str, str]:
    """How it ends, and the code."""
    last = (await told(*replies, wish=wish, **more))[-1]
    return str(last.kind), "" if last.kind is EventKind.CHECKED else last.data["code"]
