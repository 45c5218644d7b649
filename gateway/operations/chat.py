"""The assistant: answers from the person's own data, proposes changes, makes none."""

import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from importlib.resources import files
from typing import Literal, Protocol
from uuid import UUID

import structlog

from gateway.auth.permissions import Operation
from gateway.auth.subject import User
from gateway.errors import InvalidInputError
from gateway.operations import access, apis
from gateway.operations.access import Known
from gateway.operations.chat_looks import looks
from gateway.operations.chat_proposals import proposals
from gateway.operations.chat_text import rendered
from gateway.operations.generate import NoModelError
from gateway.operations.ports import Services
from gateway.operations.profile import require_person
from gateway.operations.switches import Switch, require
from generator.chat import Looked, Piece, Said, Speaker, converse, harmless
from generator.llm.base import Turn
from generator.types import GeneratorError

MESSAGES = 40
CHARACTERS = 8_000
ALL_CHARACTERS = 60_000
_log = structlog.get_logger(__name__)


class InvalidChatError(InvalidInputError):
    """No conversation that could be gone on with."""

    code, title = "invalid_chat", "Invalid conversation"


class Assistants(Protocol):
    """Gives a model whose calls are paid for by somebody."""

    def model_for(self, user_id: UUID, tenant_id: UUID) -> Speaker:
        """One for each question."""
        ...


@dataclass(frozen=True, slots=True)
class Message:
    """One message of the conversation so far, oldest first; the last is the user's."""

    role: Literal["user", "assistant"]
    text: str


@dataclass(frozen=True, slots=True)
class ChatEvent:
    """One event of the answer: `text` (a piece), `look`, `proposal`, `message`, `failed`."""

    kind: str
    data: dict[str, object]


async def chat(
    services: Services,
    subject: Known,
    assistants: Assistants | None,
    messages: Sequence[Message],
    api: str | None = None,
) -> AsyncGenerator[ChatEvent]:
    """Check everything, then give the events; what fails before the first is raised."""
    person = replace(require_person(subject), is_admin=False)  # an admin asks for themselves too
    turns = _turns(messages)
    await require(services, Switch.GENERATION)
    tenant = await access.require_tenant(services, person, None, Operation.READ)
    if assistants is None or not services.generation.model:
        raise NoModelError(services.generation.missing)
    model = assistants.model_for(person.user_id, tenant)
    if api is not None:
        shown = await apis.read_api(services, person, api)
        turns = [_page(shown.id, shown.name), *turns]
    return _events(services, person, model, turns)


async def _events(
    services: Services, person: User, model: Speaker, turns: list[Turn]
) -> AsyncGenerator[ChatEvent]:
    system = files("generator.prompts").joinpath("chat.md").read_text(encoding="utf-8")
    helpers = [*looks(services, person), *proposals(services, person)]
    try:
        async with aclosing(converse(model, "chat", system, turns, helpers)) as parts:
            async for part in parts:
                yield _event(part)
    except GeneratorError as error:
        _log.warning("chat_failed", code=error.code)
        yield ChatEvent("failed", {"code": error.code, "reason": error.reason})


def _event(part: Piece | Looked | Said) -> ChatEvent:
    match part:
        case Piece():
            return ChatEvent("text", {"text": part.text})
        case Looked(name=name, result=result) if name.startswith("propose_") and result:
            return ChatEvent("proposal", {"proposal": result})
        case Looked():
            return ChatEvent("look", {"name": harmless(part.name), "ok": part.result is not None})
        case Said():
            return ChatEvent(
                "message",
                {
                    "text": part.text,
                    "html": rendered(part.text),
                    "nano_usd": part.nano_usd,
                    "is_whole": part.is_whole,
                },
            )


def _page(api_id: str, name: str) -> Turn:
    """What the person looks at, as data in front of what they say."""
    shown = json.dumps({"page": {"api": api_id, "name": harmless(name)}}, ensure_ascii=False)
    return Turn("user", shown)


def _turns(messages: Sequence[Message]) -> list[Turn]:
    if not messages or messages[-1].role != "user":
        raise InvalidChatError("The last message is the user's")
    if len(messages) > MESSAGES:
        raise InvalidChatError(f"At most {MESSAGES} messages; begin a new conversation")
    if any(not message.text.strip() for message in messages):
        raise InvalidChatError("A message has a text")
    longest = max(len(message.text) for message in messages)
    if longest > CHARACTERS or sum(len(message.text) for message in messages) > ALL_CHARACTERS:
        raise InvalidChatError(f"A message has at most {CHARACTERS} characters")
    return [Turn(message.role, harmless(message.text)) for message in messages]
