"""Routes that ask for an API in words."""

from typing import Annotated
from uuid import UUID, uuid4

from fastapi import APIRouter, Header, Response
from pydantic import BaseModel, Field, StrictInt

from gateway.control.models import Body
from gateway.control.services import Control
from gateway.control.subject import Signed
from gateway.operations import generate
from gateway.operations.generate import BATCH_MAX, Approve, NewJob, Request
from gateway.store.jobs import Made

router = APIRouter(prefix="/api/generate", tags=["generate"])
Key = Annotated[
    str | None,
    Header(
        max_length=200,
        pattern=r"^[!-~]+$",
        description="the same request with the same key is the same job",
    ),
]


class GenerateBody(Body):
    """What the API shall do; with `template` no language model is asked.

    With `approve: ask` the job waits for you once its contract is there. `answers` are replies
    to questions, by question. The job spends no more than `cap_nano_usd` on language models.
    """

    prompt: str = ""
    name: str = ""
    answers: dict[str, str] = Field(default_factory=dict, max_length=generate.ANSWERS_MAX)
    template: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    approve: Approve = "auto"
    cap_nano_usd: Annotated[StrictInt, Field(ge=0, le=10**15)] | None = None
    tenant_id: UUID | None = None


class BatchBody(Body):
    """Several at once: all of them are taken, or none."""

    prompts: Annotated[list[str], Field(min_length=1, max_length=BATCH_MAX)]
    approve: Approve = "auto"
    tenant_id: UUID | None = None


class TakenView(BaseModel):
    """A job that was taken; look at it below `url`, follow it at `events_url`."""

    id: str
    status: str = "queued"
    url: str
    events_url: str


class BatchView(BaseModel):
    """The jobs in the order of their prompts."""

    batch_id: str
    items: list[TakenView]


@router.post("", status_code=202)
async def generate_api(
    body: GenerateBody,
    response: Response,
    services: Control,
    subject: Signed,
    idempotency_key: Key = None,
) -> TakenView:
    """Describe an API; a job makes it, tests it in a sandbox and lets it answer."""
    new = NewJob(
        body.prompt, body.name, body.answers, body.template, body.approve, body.cap_nano_usd
    )
    request = Request(body.tenant_id, idempotency_key)
    made = (await generate.generate(services.operations, subject, [new], request))[0]
    services.metrics.jobs_taken("template" if body.template else "words", int(made.is_new))
    return taken(made, response)


@router.post("/batch", status_code=202)
async def generate_batch(
    body: BatchBody, services: Control, subject: Signed, idempotency_key: Key = None
) -> BatchView:
    """Up to twenty descriptions, a job each."""
    batch_id = uuid4()
    wanted = [NewJob(prompt, approve=body.approve) for prompt in body.prompts]
    request = Request(body.tenant_id, idempotency_key, batch_id)
    made = await generate.generate(services.operations, subject, wanted, request)
    services.metrics.jobs_taken("batch", sum(one.is_new for one in made))
    return BatchView(batch_id=str(batch_id), items=[taken(one) for one in made])


def taken(made: Made, response: Response | None = None) -> TakenView:
    """What is answered for a job that was taken."""
    url = f"/api/jobs/{made.id}"
    if response is not None:
        response.headers["Location"] = url
    return TakenView(id=str(made.id), url=url, events_url=f"{url}/events")
