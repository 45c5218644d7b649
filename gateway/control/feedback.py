"""Routes of feedback: of people about Sandgate, and what administrators answer."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query

from gateway.control.models import Body, Page, PageLimit, PageOffset, Patch
from gateway.control.services import Ops
from gateway.control.subject import Administrator, Signed
from gateway.operations import feedback
from gateway.operations.feedback import Feedback, FeedbackFilter, FeedbackStatus, FeedbackType

router = APIRouter(prefix="/api", tags=["feedback"])


class CreateFeedbackBody(Body):
    """What you want to tell."""

    type: FeedbackType
    title: str
    text: str


class AnswerBody(Patch):
    """An answer makes it answered unless a status is given."""

    answer: str | None = None
    status: FeedbackStatus | None = None


@router.post("/feedback", status_code=201)
async def create_feedback(body: CreateFeedbackBody, services: Ops, subject: Signed) -> Feedback:
    """Tell the operators about a bug, an idea, a question, or that you are content."""
    return await feedback.create_feedback(services, subject, body.type, body.title, body.text)


@router.get("/feedback")
async def list_feedback(
    services: Ops, subject: Signed, limit: PageLimit = 50, offset: PageOffset = 0
) -> Page[Feedback]:
    """What you wrote, newest first, with the answers."""
    found = await feedback.own_feedback(services, subject, limit, offset)
    return Page(items=found, limit=limit, offset=offset)


@router.get("/feedback/{feedback_id}")
async def read_feedback(feedback_id: UUID, services: Ops, subject: Signed) -> Feedback:
    """One of yours."""
    return await feedback.read_feedback(services, subject, feedback_id)


@router.delete("/feedback/{feedback_id}", status_code=204)
async def delete_feedback(feedback_id: UUID, services: Ops, subject: Signed) -> None:
    """Take back what you wrote, with its attachments and its answer."""
    await feedback.delete_feedback(services, subject, feedback_id)


@router.get("/admin/feedback")
async def search_feedback(
    services: Ops,
    subject: Administrator,
    status: FeedbackStatus | None = None,
    feedback_type: Annotated[FeedbackType | None, Query(alias="type")] = None,
    q: Annotated[str, Query(max_length=200, pattern=r"^[^\x00]*$")] = "",
    limit: PageLimit = 50,
    offset: PageOffset = 0,
) -> Page[Feedback]:
    """Of everybody, newest first; `q` is looked for in titles."""
    wanted = FeedbackFilter(status, feedback_type, q)
    found = await feedback.search_feedback(services, subject, wanted, limit, offset)
    return Page(items=found, limit=limit, offset=offset)


@router.get("/admin/feedback/{feedback_id}")
async def read_any_feedback(feedback_id: UUID, services: Ops, subject: Administrator) -> Feedback:
    """Anybody's."""
    return await feedback.read_any_feedback(services, subject, feedback_id)


@router.patch("/admin/feedback/{feedback_id}")
async def answer_feedback(
    feedback_id: UUID, body: AnswerBody, services: Ops, subject: Administrator
) -> Feedback:
    """Answer it, close it, or open it again."""
    return await feedback.answer_feedback(services, subject, feedback_id, body.answer, body.status)
