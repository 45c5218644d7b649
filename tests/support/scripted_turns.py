"""A model in memory that answers turn by turn as a test says."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from generator.chat import Speaker
from generator.llm.base import Answer, Form, OnText, Prompt, Purpose, ToolUse
from generator.types import GeneratorError


def says(text: str, *uses: tuple[str, dict[str, Any]]) -> Answer:
    """One turn: text, and the tools it wants to use."""
    made = tuple(ToolUse(f"use-{n}", name, given) for n, (name, given) in enumerate(uses))
    return Answer(text, made, "tool_use" if uses else "end_turn", "scripted", nano_usd=1_000)


@dataclass(slots=True)
class ScriptedTurns:
    """Gives the turns in order and keeps what it was asked; an error is raised in its turn."""

    turns: Sequence[Answer | GeneratorError]
    prompts: list[Prompt] = field(default_factory=list)
    ended: bool = False  # the last stream was closed

    def named(self, purpose: Purpose) -> str:
        """Always itself."""
        return "scripted"

    async def converse(self, prompt: Prompt, on_text: OnText | None = None) -> Answer:
        """The next turn."""
        self.prompts.append(prompt)
        turn = self.turns[len(self.prompts) - 1]
        if isinstance(turn, GeneratorError):
            raise turn
        return turn

    async def fill(self, prompt: Prompt, form: type[Form]) -> Form:
        """The next turn's text in this form."""
        return form.model_validate_json((await self.converse(prompt)).text)

    async def stream(self, prompt: Prompt) -> AsyncIterator[str | Answer]:
        """The next turn, its text in two pieces."""
        try:
            turn = await self.converse(prompt)
            middle = len(turn.text) // 2
            for piece in (turn.text[:middle], turn.text[middle:]):
                if piece:
                    yield piece
            yield turn
        finally:
            self.ended = True


@dataclass(slots=True)
class OneAssistant:
    """The same model for everybody; keeps for whom it was asked."""

    model: Speaker | None = None
    asked: list[tuple[UUID, UUID]] = field(default_factory=list)

    def model_for(self, user_id: UUID, tenant_id: UUID) -> Speaker:
        """It."""
        self.asked.append((user_id, tenant_id))
        assert self.model is not None
        return self.model
