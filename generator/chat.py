"""A conversation with a model that may look things up: turn after turn until it has an answer.

Whatever a tool gives back is data in a turn of its own. The tools decide what can happen; the
model decides nothing.
"""

import json
import re
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Protocol

from generator.llm.base import (
    Answer,
    ModelError,
    Prompt,
    Purpose,
    Tool,
    ToolResult,
    ToolUse,
    Turn,
)

MAX_TURNS = 6  # of the model, for one question
MAX_USES = 12
RESULT_CHARACTERS = 8_000
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")


class ToolRefused(Exception):  # noqa: N818 - what a tool says to the model, no failure of ours
    """The tool was used in a way it does not take; the text is for the model."""


@dataclass(frozen=True, slots=True)
class Helper:
    """A tool and what it does. It changes nothing, whatever it is given."""

    tool: Tool
    run: Callable[[Mapping[str, Any]], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Piece:
    """Text of the answer as it comes."""

    text: str


@dataclass(frozen=True, slots=True)
class Looked:
    """A tool was used; `result` is what its helper gave back, or None when it was refused."""

    name: str
    result: object


@dataclass(frozen=True, slots=True)
class Said:
    """The whole answer; `is_whole` is False when the conversation was ended by its bounds."""

    text: str
    nano_usd: int
    is_whole: bool = True


class Speaker(Protocol):
    """The part of a Model that a conversation needs."""

    def stream(self, prompt: Prompt) -> AsyncIterator[str | Answer]:
        """Pieces of text as they come, then the whole answer."""
        ...


async def parts_of(model: Speaker, prompt: Prompt) -> AsyncGenerator[str | Answer, None]:
    """What the model says; whoever closes it ends the model's work at once."""
    stream = model.stream(prompt)
    try:
        async for part in stream:
            yield part
    finally:
        if isinstance(stream, AsyncGenerator):
            await stream.aclose()


async def converse(
    model: Speaker,
    purpose: Purpose,
    system: str,
    turns: Sequence[Turn],
    helpers: Sequence[Helper],
) -> AsyncGenerator[Piece | Looked | Said]:
    """The model's answer to the last turn; may raise what a Model may raise."""
    known = {helper.tool.name: helper for helper in helpers}
    said, spent, uses = "", 0, 0
    story = list(turns)
    for _ in range(MAX_TURNS):
        tools = tuple(helper.tool for helper in helpers) if uses < MAX_USES else ()
        prompt = Prompt(purpose, system, tuple(story), tools=tools, max_tokens=4_000)
        answer: Answer | None = None
        async with aclosing(parts_of(model, prompt)) as parts:
            async for part in parts:
                if isinstance(part, Answer):
                    answer = part
                else:
                    said += part
                    yield Piece(part)
        if answer is None:
            raise ModelError("The model's answer ended before it was whole.")
        spent += answer.nano_usd
        if not answer.uses:
            yield Said(said, spent)
            return
        results = []
        for use in answer.uses:
            uses += 1
            result, looked = await _used(known, use)
            results.append(result)
            yield looked
        story += [answer.turn, Turn("user", results=tuple(results))]
    yield Said(said, spent, is_whole=False)


async def _used(known: Mapping[str, Helper], use: ToolUse) -> tuple[ToolResult, Looked]:
    helper = known.get(use.name)
    if helper is None:
        return ToolResult(use.id, "There is no such tool.", is_error=True), Looked(use.name, None)
    try:
        found = await helper.run(use.input)
    except ToolRefused as refused:
        return ToolResult(use.id, harmless(str(refused)), is_error=True), Looked(use.name, None)
    return ToolResult(use.id, as_data(found)), Looked(use.name, found)


def as_data(found: object) -> str:
    """What a tool gives back, as JSON under a label, cut to size."""
    text = json.dumps({"data": _harmless_all(found)}, ensure_ascii=False, default=str)
    return text if len(text) <= RESULT_CHARACTERS else text[:RESULT_CHARACTERS] + " … (cut)"


def _harmless_all(found: object) -> object:
    """The same with every text in it made harmless, before JSON would hide what is in them."""
    match found:
        case str():
            return harmless(found)
        case Mapping():
            return {harmless(str(name)): _harmless_all(value) for name, value in found.items()}
        case list() | tuple():
            return [_harmless_all(value) for value in found]
        case _:
            return found


def harmless(text: str) -> str:
    """Without control characters and marks that hide or turn text."""
    return _CONTROL.sub(" ", text).encode("utf-8", "replace").decode()
