"""What to make or to add next, by rules: templates, or what an API's own description lacks."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from gateway.auth.permissions import Operation
from gateway.operations import access
from gateway.operations.access import Known
from gateway.operations.apis import with_versions
from gateway.operations.lacks import lacks_of
from gateway.operations.ports import Services
from gateway.store import apis, versions
from gateway.store.database import Identity
from generator import library

MOST = 6
_OWN = 200  # APIs that are looked at


@dataclass(frozen=True, slots=True)
class Suggestion:
    """`prompt` says it as one would ask for it; `template` names what needs no model."""

    kind: str  # template, or addition to an API that is there
    title: str
    prompt: str
    template: str | None = None
    api_id: str | None = None


async def suggest(services: Services, subject: Known, ref: str | None) -> list[Suggestion]:
    """For one API what it lacks; without one, templates that the subject has not used yet."""
    if ref is not None:
        return await _additions(services, subject, ref)
    rows = await apis.page(services.database, access.own_identity(subject), None, _OWN, 0)
    names = {str(row["name"]).casefold() for row in rows}
    unused = [one for one in library.all_templates() if one.title.casefold() not in names]
    return [Suggestion("template", one.title, one.summary, one.slug) for one in unused[:MOST]]


async def _additions(services: Services, subject: Known, ref: str) -> list[Suggestion]:
    allowed = await access.require_api(services, subject, ref, Operation.READ)
    api = (await with_versions(services, allowed.identity, [allowed.row]))[0]
    if not api.versions:
        return []
    live = max(api.versions, key=lambda one: one.weight)
    document = await _document(services, allowed.identity, allowed.id, live.version)
    lacks = lacks_of(document)[:MOST]
    return [Suggestion("addition", one.title, one.prompt, api_id=api.id) for one in lacks]


async def _document(services: Services, identity: Identity, api_id: UUID, n: int) -> dict[str, Any]:
    """What a version said of itself; {} when it said nothing. `Any`: its JSON."""
    row = await versions.document(services.database, identity, api_id, n)
    return row["openapi"] if row and isinstance(row["openapi"], dict) else {}
