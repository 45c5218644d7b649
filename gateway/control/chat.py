"""The route of the assistant: a conversation in, events out."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Literal

from fastapi import APIRouter
from fastapi.responses import StreamingResponse
from pydantic import Field, StringConstraints

from gateway.control.models import Body
from gateway.control.services import Control, Ops
from gateway.control.subject import Signed
from gateway.operations.chat import CHARACTERS, MESSAGES, ChatEvent, Message, chat

router = APIRouter(prefix="/api", tags=["assistant"])

QUIET_SECONDS = 15.0  # then a comment tells proxies that the stream lives


class MessageBody(Body):
    """One message of the conversation."""

    role: Literal["user", "assistant"]
    text: Annotated[str, StringConstraints(min_length=1, max_length=CHARACTERS)]


class ChatBody(Body):
    """The conversation so far, oldest first, and the API whose page is open."""

    messages: Annotated[list[MessageBody], Field(min_length=1, max_length=MESSAGES)]
    api: Annotated[str, StringConstraints(max_length=80)] | None = None


@router.post(
    "/chat",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {}}, "description": "Events, as they come"}},
)
async def talk(
    body: ChatBody, services: Ops, subject: Signed, control: Control
) -> StreamingResponse:
    """Ask about your APIs. Events: `text`, `look`, `proposal`; the last: `message` or `failed`.

    Nothing is changed; a proposal is a form that you send or leave.
    """
    messages = [Message(one.role, one.text) for one in body.messages]
    events = await chat(services, subject, control.assistants, messages, body.api)
    return StreamingResponse(
        _lines(events),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _lines(events: AsyncGenerator[ChatEvent]) -> AsyncGenerator[bytes]:
    """As server-sent events; ends the model's work when the reader has gone."""
    async with aclosing(events):
        while True:
            upcoming = asyncio.ensure_future(anext(events, None))
            try:
                while not (await asyncio.wait({upcoming}, timeout=QUIET_SECONDS))[0]:
                    yield b": still there\n\n"
            except BaseException:
                upcoming.cancel()
                raise
            event = upcoming.result()
            if event is None:
                return
            yield f"event: {event.kind}\ndata: {json.dumps(event.data)}\n\n".encode()
