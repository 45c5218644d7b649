"""Asking for an API in words: everything is checked before a job is made of it."""

import hashlib
import json
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import UUID, uuid4

from gateway.auth.permissions import Operation
from gateway.errors import ConflictError, InvalidInputError, SandgateError
from gateway.operations import access, inputs
from gateway.operations.access import Known
from gateway.operations.generation import Generation, Template
from gateway.operations.ports import Services
from gateway.operations.switches import Switch, require
from gateway.operations.values import optional
from gateway.store import jobs, model_costs
from gateway.store.jobs import Made

PROMPT_CHARACTERS = 50_000
ANSWERS_MAX = 10
ANSWER_CHARACTERS = 2000
BATCH_MAX = 20
Approve = Literal["auto", "ask"]
_SPACE = "\n\r\t"


class InvalidPromptError(InvalidInputError):
    """Nothing that could be read as a description."""

    code, title = "invalid_prompt", "Invalid description"


class UnknownTemplateError(InvalidInputError):
    """No template of this name."""

    code, title = "unknown_template", "Unknown template"


class NoModelError(ConflictError):
    """Nobody is there to write code; the text says what to set."""

    code, title = "no_model", "No language model is set"


class CostCapReachedError(SandgateError):
    """No money is left for today or this month. `cap` is user, plan or day."""

    status, code, title = 429, "cost_cap_reached", "A cap on cost is reached"


_CAPS = {
    "user": "You have used what one person may spend on language models in a day.",
    "plan": "The tenant has used what its plan allows for language models in a month.",
    "day": "This installation has used what it may spend on language models in a day.",
}


@dataclass(frozen=True, slots=True)
class NewJob:
    """What somebody asks for. With `template` no model is asked and the prompt may be empty."""

    prompt: str = ""
    name: str = ""
    answers: Mapping[str, str] = field(default_factory=dict)
    template: str | None = None
    approve: Approve = "auto"
    cap_nano_usd: int | None = None  # of this job, where it is less than what jobs may cost anyway


@dataclass(frozen=True, slots=True)
class Request:
    """For whom, and the key under which the same request may come twice."""

    tenant_id: UUID | None = None
    idempotency_key: str | None = None
    batch_id: UUID | None = None


async def generate(
    services: Services, subject: Known, wanted: Sequence[NewJob], request: Request
) -> list[Made]:
    """One job each, all or none; workers take them from here."""
    await require(services, Switch.GENERATION)
    tenant_id = await access.require_tenant(
        services, subject, request.tenant_id, Operation.CREATE_API
    )
    rows = await prepared(services, subject, tenant_id, wanted, request)
    return await jobs.create(services.database, rows, services.generation.open_jobs)


async def prepared(
    services: Services,
    subject: Known,
    tenant_id: UUID,
    wanted: Sequence[NewJob],
    request: Request,
) -> list[dict[str, Any]]:
    """Checked, and paid for by somebody who still may; as `create_jobs` takes them."""
    actor = access.actor_of(subject)
    rows = [_checked(services.generation, one) for one in wanted]
    if any(row["template"] is None for row in rows):
        await _require_money(services, tenant_id, actor)
    common = {
        "tenant_id": str(tenant_id),
        "created_by": optional(actor),
        "batch_id": optional(request.batch_id),
    }
    return [{**row, **common, **_identity(request, row, number)} for number, row in enumerate(rows)]


def _identity(request: Request, row: Mapping[str, Any], number: int) -> dict[str, str | None]:
    """Ids that are chosen now, and what makes a second request the same one."""
    key = request.idempotency_key
    return {
        "id": str(uuid4()),
        "api_id": str(uuid4()),
        "version_id": str(uuid4()),
        "idempotency_key": f"{key}:{number}" if key and request.batch_id else key,
        "request_hash": hashlib.sha256(json.dumps(row, sort_keys=True).encode()).hexdigest(),
    }


async def _require_money(services: Services, tenant_id: UUID, user_id: UUID | None) -> None:
    caps = services.generation.caps
    cap = await model_costs.reached(services.database, tenant_id, user_id, caps)
    if cap is not None:
        raise CostCapReachedError(_CAPS[cap], extra={"cap": cap})


def _checked(generation: Generation, new: NewJob) -> dict[str, Any]:
    """What is stored of it. `Any`: JSON."""
    prompt = checked_prompt(new.prompt) if new.prompt or new.template is None else ""
    template = _template(generation, new, prompt)
    return {
        "prompt": prompt or f"The template {new.template}",
        "name": inputs.checked_name(new.name) if new.name else "",
        "answers": checked_answers(new.answers),
        "template": None if template is None else template.slug,
        "approve": new.approve,
        "cap_nano_usd": new.cap_nano_usd,
    }


def _template(generation: Generation, new: NewJob, prompt: str) -> Template | None:
    """The one that was named, or that stands in where no model is set."""
    if new.template is not None:
        found = generation.template(new.template)
        if found is None:
            raise UnknownTemplateError("There is no template of this name")
        return found
    if generation.model:
        return None
    found = generation.meant(prompt)
    if found is None:
        raise NoModelError(generation.missing)
    return found


def checked_prompt(text: str) -> str:
    """A description in any language, without what no text has."""
    if not text.strip():
        raise InvalidPromptError("Say what the API shall do")
    if len(text) > PROMPT_CHARACTERS:
        raise InvalidPromptError(f"A description has at most {PROMPT_CHARACTERS} characters")
    return _plain(text, "A description")


def checked_answers(answers: Mapping[str, str]) -> dict[str, str]:
    """Replies by question."""
    if len(answers) > ANSWERS_MAX:
        raise InvalidPromptError(f"At most {ANSWERS_MAX} answers are possible")
    for text in (*answers, *answers.values()):
        if len(text) > ANSWER_CHARACTERS:
            raise InvalidPromptError(f"An answer has at most {ANSWER_CHARACTERS} characters")
        _plain(text, "An answer")
    return dict(answers)


def _plain(text: str, what: str) -> str:
    if any(c not in _SPACE and unicodedata.category(c) in ("Cc", "Cs") for c in text):
        raise InvalidPromptError(f"{what} has no control characters")
    return text
