"""Keeps what webhooks send, for a week, so that it can be looked at."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import Body, HTTPException, Path, Query, Response
from pydantic import BaseModel
from sandgate_runtime import KvQuotaError, KvUnavailableError

WEEK = 7 * 24 * 3600
MAX_BYTES = 64_000
MAX_DEPTH = 30
Inbox = Annotated[str, Path(pattern="^[a-z0-9-]{1,40}$")]
Number = Annotated[int, Path(ge=1, le=999_999_999)]
GONE = {404: {"description": "No such event"}}
STORE = {
    503: {"description": "The store cannot be reached"},
    507: {"description": "The store is full"},
}


class Received(BaseModel):
    """Under which number it is kept, and how long it is as JSON."""

    id: int
    inbox: str
    bytes: int
    received_at: str


class Event(BaseModel):
    """What was sent, as it was sent."""

    id: int
    received_at: str
    payload: dict[str, Any]


class Events(BaseModel):
    """Oldest first; `after` asks for the next page."""

    items: list[Event]
    after: int | None


@contextmanager
def storing() -> Iterator[None]:
    """Says plainly what the store refuses."""
    try:
        yield
    except KvQuotaError as error:
        raise HTTPException(507, "The inbox is full; delete events first") from error
    except KvUnavailableError as error:
        raise HTTPException(503, "The store cannot be reached; try again") from error


def key_of(inbox: str, number: int) -> str:
    """Numbers of equal length, so that keys are in their order."""
    return f"event:{inbox}:{number:09}"


def is_too_deep(value: object) -> bool:
    """Whether objects lie too deep in each other."""
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
    return bool(level)


def size_of(payload: dict[str, Any]) -> int:
    """Bytes of a payload that can be kept: not too large, not too deep, nothing but JSON."""
    if is_too_deep(payload):
        raise HTTPException(422, "The event is too deep")
    try:
        content = json.dumps(payload, ensure_ascii=False, allow_nan=False).encode()
    except ValueError as error:  # not a number, or half of a character
        raise HTTPException(422, "The event has values that cannot be kept") from error
    if b"\\u0000" in content:
        raise HTTPException(422, "The event has values that cannot be kept")
    if len(content) > MAX_BYTES:
        raise HTTPException(413, "The event is larger than 64 kB")
    return len(content)


@router.post(
    "/inboxes/{inbox}/events",
    status_code=201,
    responses=STORE | {413: {"description": "Larger than 64 kB"}},
)
async def receive_event(inbox: Inbox, payload: Annotated[dict[str, Any], Body()]) -> Received:
    """Point a webhook here: any JSON object is kept for a week."""
    size = size_of(payload)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    with storing():
        number = await kv.increment(f"last:{inbox}")
        event = Event(id=number, received_at=now, payload=payload)
        await kv.set(key_of(inbox, number), event.model_dump(), ttl=WEEK)
    return Received(id=number, inbox=inbox, bytes=size, received_at=now)


@router.get("/inboxes/{inbox}/events", responses=STORE)
async def list_events(
    inbox: Inbox,
    limit: Annotated[int, Query(ge=1, le=50)] = 20,
    after: Annotated[int, Query(ge=0, le=999_999_999)] = 0,
) -> Events:
    """What came into one inbox."""
    with storing():
        rows = await kv.items(f"event:{inbox}:", limit=limit, after=key_of(inbox, after))
    items = [Event.model_validate(value) for _, value in rows]
    return Events(items=items, after=items[-1].id if len(items) == limit else None)


@router.get("/inboxes/{inbox}/events/{number}", responses=GONE | STORE)
async def read_event(inbox: Inbox, number: Number) -> Event:
    """One event."""
    with storing():
        value = await kv.get(key_of(inbox, number))
    if value is None:
        raise HTTPException(404, "No such event")
    return Event.model_validate(value)


@router.delete("/inboxes/{inbox}/events/{number}", status_code=204, responses=GONE | STORE)
async def delete_event(inbox: Inbox, number: Number) -> Response:
    """Away with it."""
    with storing():
        if not await kv.delete(key_of(inbox, number)):
            raise HTTPException(404, "No such event")
    return Response(status_code=204)
