"""Server-sent events: numbered, resumable with `Last-Event-ID`, over when the job is."""

import json
from collections.abc import AsyncIterator
from dataclasses import asdict
from typing import Annotated, Any, Final

from fastapi import Header, Response
from fastapi.responses import StreamingResponse

from gateway.operations.job_events import JobEvent

LastEventId = Annotated[
    int | None,
    Header(ge=0, le=2**31 - 1, description="number of the last event that you have seen"),
]
NOTHING_MORE: Final[dict[int | str, dict[str, Any]]] = {
    204: {"description": "Everything was seen; do not come again"}
}


class EventStream(StreamingResponse):
    """Named so that the document knows its type."""

    media_type = "text/event-stream"


def answer(events: AsyncIterator[JobEvent | None] | None) -> Response:
    """The stream; 204 when nothing is to come, so that a browser does not ask again."""
    if events is None:
        return Response(status_code=204)
    return EventStream(_lines(events), headers={"X-Accel-Buffering": "no"})


async def _lines(events: AsyncIterator[JobEvent | None]) -> AsyncIterator[str]:
    yield "retry: 1000\n\n"
    async for event in events:
        yield ": still here\n\n" if event is None else line(event)


def line(event: JobEvent) -> str:
    """One event; JSON has no line ends of its own."""
    data = json.dumps(asdict(event), separators=(",", ":"))
    return f"id: {event.n}\nevent: {event.kind}\ndata: {data}\n\n"
