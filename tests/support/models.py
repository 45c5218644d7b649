"""A model that is asked over real HTTP, with a scenario on the other side."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, Field

from generator.llm.anthropic import AnthropicModel
from generator.llm.base import Prompt, Purse, Tool, Turn
from generator.llm.capabilities import Provider
from generator.llm.endpoint import Endpoint
from generator.llm.scripted import Answering, Asked, Scenario, scripted
from generator.llm.settings import ModelSettings, Patience

DOLLAR = 10**9
KEY = "sk-for-tests-only"


class Verdict(BaseModel):
    """A small form."""

    allowed: bool
    reason: str = Field(max_length=100)


WRITE = Tool(
    "write_body",
    "Hand in the code.",
    {
        "type": "object",
        "properties": {"body": {"type": "string"}},
        "required": ["body"],
        "additionalProperties": False,
    },
)


@dataclass
class Asking:
    """A model, what it paid, how long it paused, and what the other side saw."""

    model: AnthropicModel
    purse: Purse
    seen: list[Asked] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)

    @property
    def messages(self) -> list[Asked]:
        return [asked for asked in self.seen if asked.path == "/v1/messages"]


@asynccontextmanager
async def asking(
    answering: Answering,
    *,
    speaks: Provider = "scripted",
    model: str = "",
    cap: int = DOLLAR,
    patience: Patience | None = None,
    user_id: str = "",
    key: str = KEY,
    **settings: Any,
) -> AsyncIterator[Asking]:
    seen: list[Asked] = []
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        await asyncio.sleep(0)

    compatible = speaks == "compatible"
    async with scripted(answering, compatible=compatible, seen=seen) as base_url:
        chosen = ModelSettings(
            api_key=key,
            base_url=base_url,
            model=model or ("local" if compatible else ""),
            speaks=speaks,
            patience=patience or Patience(),
            **settings,
        )
        purse = Purse(cap)
        async with Endpoint(chosen, sleep) as endpoint:
            yield Asking(AnthropicModel(endpoint, purse, user_id), purse, seen, pauses)


def saying(*replies: Mapping[str, Any]) -> Scenario:
    """These replies, one after the other."""
    return Scenario.saying(*replies)


def prompt(text: str = "Hello", **more: Any) -> Prompt:
    return Prompt("code", "You write code.", (Turn("user", text),), **more)
