"""Feedback: people write, administrators answer."""

import math
from dataclasses import dataclass
from typing import Literal
from uuid import UUID, uuid4

from gateway.errors import NotFoundError, SandgateError
from gateway.operations import access
from gateway.operations.access import Known
from gateway.operations.inputs import InvalidTextError
from gateway.operations.ports import Services
from gateway.operations.profile import require_person
from gateway.operations.profile_inputs import checked_text, is_readable
from gateway.store import feedback
from gateway.store.database import SERVICE, Filter, Identity, Row

FeedbackType = Literal["bug", "idea", "question", "praise", "other"]
FeedbackStatus = Literal["open", "answered", "closed"]
TITLE_CHARACTERS = 200
TEXT_CHARACTERS = 5000
QUANTITY = 10  # of one person within SECONDS, over all gateways
SECONDS = 3600.0


class FeedbackNotFoundError(NotFoundError):
    """No such feedback, or it is somebody else's."""

    code, title = "feedback_not_found", "Feedback not found"


class TooMuchFeedbackError(SandgateError):
    """One person writes more than anybody reads."""

    status, code, title = 429, "too_much_feedback", "Too much feedback"

    def __init__(self, seconds: float) -> None:
        wait = max(1, math.ceil(seconds))
        text = f"At most {QUANTITY} in an hour; try again in {wait} s"
        super().__init__(text, headers={"Retry-After": str(wait)})


@dataclass(frozen=True, slots=True)
class Feedback:
    """What was written and what was answered. `email` is told to administrators only."""

    id: str
    user_id: str
    type: FeedbackType
    status: FeedbackStatus
    title: str
    text: str
    answer: str | None
    answered_at: str | None
    created_at: str
    updated_at: str
    email: str | None = None


@dataclass(frozen=True, slots=True)
class FeedbackFilter:
    """What administrators look for; None is all."""

    status: FeedbackStatus | None = None
    type: FeedbackType | None = None
    query: str = ""


async def create_feedback(
    services: Services, subject: Known, kind: FeedbackType, title: str, text: str
) -> Feedback:
    """Write to the operators."""
    user = require_person(subject)
    feedback_id = uuid4()
    values = {
        "id": str(feedback_id),
        "type": kind,
        "title": _checked_title(title),
        "text": _checked_text(text),
    }
    wait = await feedback.create(services.database, user.user_id, values, QUANTITY, SECONDS)
    if wait > 0:
        raise TooMuchFeedbackError(wait)
    return await read_feedback(services, user, feedback_id)


async def own_feedback(
    services: Services, subject: Known, limit: int, offset: int
) -> list[Feedback]:
    """What the person wrote, newest first."""
    user = require_person(subject)
    where = [Filter("user_id", "eq", str(user.user_id))]
    identity = access.own_identity(user)
    rows = await feedback.listed(services.database, identity, where, limit, offset)
    return [_of(row) for row in rows]


async def read_feedback(services: Services, subject: Known, feedback_id: UUID) -> Feedback:
    """One of the person's own."""
    user = require_person(subject)
    return _of(await _find(services, access.own_identity(user), feedback_id))


async def delete_feedback(services: Services, subject: Known, feedback_id: UUID) -> None:
    """Take back what the person wrote."""
    user = require_person(subject)
    if not await feedback.remove(services.database, user.user_id, feedback_id):
        raise FeedbackNotFoundError


async def search_feedback(
    services: Services, subject: Known, wanted: FeedbackFilter, limit: int, offset: int
) -> list[Feedback]:
    """Of everybody; for administrators."""
    access.require_admin(subject)
    where = [
        Filter(column, "eq", value)
        for column, value in (("status", wanted.status), ("type", wanted.type))
        if value is not None
    ]
    if wanted.query:
        escaped = wanted.query.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        where.append(Filter("title", "ilike", f"%{escaped}%"))
    rows = await feedback.listed(services.database, SERVICE, where, limit, offset)
    return await _with_addresses(services, rows)


async def read_any_feedback(services: Services, subject: Known, feedback_id: UUID) -> Feedback:
    """Anybody's; for administrators."""
    access.require_admin(subject)
    row = await _find(services, SERVICE, feedback_id)
    return (await _with_addresses(services, [row]))[0]


async def answer_feedback(
    services: Services,
    subject: Known,
    feedback_id: UUID,
    answer: str | None,
    status: FeedbackStatus | None,
) -> Feedback:
    """Answer, close or open again; for administrators."""
    access.require_admin(subject)
    values: dict[str, str] = {}
    if answer is not None:
        values["answer"] = _checked_text(answer)
    if status is not None:
        values["status"] = status
    if values:
        await feedback.answer(services.database, feedback_id, values, access.actor_of(subject))
    return await read_any_feedback(services, subject, feedback_id)


async def _find(services: Services, identity: Identity, feedback_id: UUID) -> Row:
    row = await feedback.find(services.database, identity, feedback_id)
    if row is None:
        raise FeedbackNotFoundError
    return row


async def _with_addresses(services: Services, rows: list[Row]) -> list[Feedback]:
    ids = [str(row["user_id"]) for row in rows]
    emails = await feedback.addresses(services.database, ids)
    return [_of(row, emails.get(str(row["user_id"]))) for row in rows]


def _checked_title(title: str) -> str:
    tidy = checked_text(title, TITLE_CHARACTERS, "A title")
    if not tidy or not is_readable(tidy):
        raise InvalidTextError(f"A title is one line of 1 to {TITLE_CHARACTERS} characters")
    return tidy


def _checked_text(text: str) -> str:
    tidy = checked_text(text, TEXT_CHARACTERS, "A text")
    if not tidy:
        raise InvalidTextError(f"A text has 1 to {TEXT_CHARACTERS} characters")
    return tidy


def _of(row: Row, email: str | None = None) -> Feedback:
    return Feedback(
        id=str(row["id"]),
        user_id=str(row["user_id"]),
        type=row["type"],
        status=row["status"],
        title=row["title"],
        text=row["text"],
        answer=row["answer"],
        answered_at=row["answered_at"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        email=email,
    )
