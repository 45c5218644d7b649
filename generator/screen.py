"""Before anything is made: may it be, can it be, and what is still open."""

from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict

from generator.llm.base import Model, Prompt, Turn
from generator.prompts import system
from generator.quote import clean, data
from generator.types import GeneratorError, Wish

_QUESTIONS = 3
_ASSUMPTIONS = 6
_SENTENCE = 300


class Category(StrEnum):
    """What a request is."""

    API = "api"
    FORBIDDEN = "forbidden"  # would do harm
    IMPOSSIBLE = "impossible"  # no HTTP API can do it
    UNCLEAR = "unclear"  # nobody could say what to build


class Screening(BaseModel):
    """What the model says of a request."""

    model_config = ConfigDict(extra="forbid")

    allowed: bool
    category: Category
    reason: str
    questions: list[str]
    assumptions: list[str]

    def trimmed(self) -> "Screening":
        """The same within the bounds that pages show."""
        return self.model_copy(
            update={
                "reason": clean(self.reason, _SENTENCE),
                "questions": [clean(one, _SENTENCE) for one in self.questions[:_QUESTIONS]],
                "assumptions": [clean(one, _SENTENCE) for one in self.assumptions[:_ASSUMPTIONS]],
            }
        )


class RequestRefusedError(GeneratorError):
    """Nothing is made of this request. `code` says why."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code


def look(wish: Wish, longest: int) -> None:
    """What needs no model to see; raises RequestRefusedError."""
    if not wish.prompt.strip():
        raise RequestRefusedError("prompt_empty", "Say in a few words what the API shall do.")
    if len(wish.prompt) > longest:
        reason = f"The description has {len(wish.prompt)} characters; {longest} are allowed."
        raise RequestRefusedError("prompt_too_long", reason)


async def screen(model: Model, wish: Wish) -> Screening:
    """The small model's view of a request."""
    turn = Turn("user", data("request", asked(wish)))
    prompt = Prompt("screen", system("screen"), (turn,), max_tokens=2_000)
    return (await model.fill(prompt, Screening)).trimmed()


def judge(screening: Screening, *, waits_for_answers: bool) -> None:
    """Whether to go on; raises RequestRefusedError."""
    if not screening.allowed or screening.category is not Category.API:
        code = _CODES.get(screening.category, "request_forbidden")
        raise RequestRefusedError(code, screening.reason or "This cannot be made here.")
    if waits_for_answers and screening.questions:
        reason = "Answers are needed before this can be made: " + " ".join(screening.questions)
        raise RequestRefusedError("answers_needed", reason)


_CODES = {
    Category.IMPOSSIBLE: "request_impossible",
    Category.UNCLEAR: "request_unclear",
}


def asked(wish: Wish) -> dict[str, Any]:
    """A wish as data for the model."""
    whole: dict[str, Any] = {"request": wish.prompt}
    if wish.name:
        whole["name"] = wish.name
    if wish.answers:
        whole["answers"] = dict(wish.answers)
    if wish.previous is not None:
        whole["previous"] = _short(wish)
    return whole


def _short(wish: Wish) -> dict[str, Any]:
    """Enough of the live API to understand a request to change it."""
    if wish.previous is None:
        return {}
    contract = wish.previous.contract
    return {
        "title": contract.title,
        "summary": contract.summary,
        "operations": [f"{one.method} {one.path}: {one.summary}" for one in contract.operations],
    }
