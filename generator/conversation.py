"""Talking with the model about a body: what it is shown, what it hands in, what it is told."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from generator.contract import Contract
from generator.llm.base import Answer, Model, OnText, Prompt, ToolResult, Turn
from generator.quote import block, data
from generator.screen import asked
from generator.types import Wish

Made = TypeVar("Made")


@dataclass(frozen=True, slots=True)
class Wrong:
    """Why an answer cannot be used, in words for the model."""

    text: str


async def ask(
    model: Model,
    prompt: Prompt,
    take: Callable[[Answer], Made | Wrong],
    tries: int,
    on_text: OnText,
) -> Made | Wrong:
    """What `take` makes of an answer; the model is told what was wrong and asked again."""
    outcome: Made | Wrong = Wrong("It was not asked.")
    for _ in range(tries):
        answer = await model.converse(prompt, on_text)
        outcome = take(answer)
        if not isinstance(outcome, Wrong):
            break
        prompt = replace(prompt, turns=(*prompt.turns, *_again(answer, outcome.text)))
    return outcome


def order(contract: Contract, wish: Wish) -> str:
    """The contract and the words it came from, as data."""
    shape = contract.model_dump(mode="json", by_alias=True)
    return f"{data('contract', shape)}\n{data('request', asked(replace(wish, previous=None)))}"


def about(opening: str, body: str, told: str) -> tuple[Turn, ...]:
    """What is asked of a body that is there: character by character, for exact edits."""
    return (Turn("user", f"{opening}\n{block('body', body)}\n{told}"),)


def _again(answer: Answer, text: str) -> Sequence[Turn]:
    """The answer as it came, and that it cannot be used; every use of a tool is answered."""
    if not answer.uses:
        said = answer.turn if answer.text.strip() else Turn("assistant", "(no answer)")
        return said, Turn("user", text)
    results = tuple(ToolResult(use.id, text, is_error=True) for use in answer.uses)
    return answer.turn, Turn("user", results=results)
