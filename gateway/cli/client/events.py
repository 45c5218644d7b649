"""Following a job: server-sent events, gone on with where the connection ended."""

import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from gateway.cli.client.failures import CommandError, UnreachableError
from gateway.cli.client.session import Session

TRIES = 10  # in a row without an event
PAUSE_SECONDS = 0.3
OVER = frozenset({"succeeded", "failed", "cancelled"})


@dataclass(frozen=True, slots=True)
class JobEvent:
    """One step. `Any`: JSON."""

    n: int
    kind: str
    text: str
    data: dict[str, Any] = field(default_factory=dict)


def parsed(lines: Iterable[str]) -> Iterator[JobEvent | None]:
    """Events of a stream; None for a comment, which says that the stream lives."""
    data: list[str] = []
    for line in lines:
        if line.startswith(":"):
            yield None
        elif line.startswith("data:"):
            data.append(line.removeprefix("data:").removeprefix(" "))
        elif not line and data:
            yield _event("\n".join(data))
            data = []


def followed(session: Session, path: str) -> Iterator[JobEvent | None]:
    """Every event of a job once and in order, over as many connections as it takes."""
    seen, tries = 0, 0
    while True:
        try:
            for event in session.lines(f"{path}/events", seen, parsed):
                tries = 0
                if event is None or event.n > seen:
                    seen = event.n if event else seen
                    yield event
        except UnreachableError:
            tries += 1
            if tries >= TRIES:
                raise
        if session.call("GET", path).get("status") in OVER and not _is_behind(session, path, seen):
            return
        time.sleep(PAUSE_SECONDS)


def _is_behind(session: Session, path: str, seen: int) -> bool:
    return int(session.call("GET", path).get("events") or 0) > seen


def _event(text: str) -> JobEvent:
    try:
        value = json.loads(text)
        return JobEvent(
            int(value["n"]), str(value["kind"]), str(value["text"]), dict(value.get("data") or {})
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise CommandError("The server sent an event that cannot be read") from error
