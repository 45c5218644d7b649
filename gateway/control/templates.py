"""Routes of the library of templates and of suggestions."""

from typing import Annotated

from fastapi import APIRouter, Query

from gateway.control.models import Page, PageLimit, PageOffset
from gateway.control.services import Ops
from gateway.control.subject import Signed
from gateway.operations import suggestions, templates
from gateway.operations.suggestions import Suggestion
from gateway.operations.templates import QUERY_CHARACTERS, Template, TemplateSummary

router = APIRouter(prefix="/api", tags=["templates"])


@router.get("/templates")
async def list_templates(
    _: Signed,
    q: Annotated[str, Query(max_length=QUERY_CHARACTERS, description="what it shall do")] = "",
    limit: PageLimit = 50,
    offset: PageOffset = 0,
) -> Page[TemplateSummary]:
    """Whole APIs that need no model; `POST /api/apis` takes the slug of one in place of code."""
    found = templates.list_templates(q, limit, offset)
    return Page(items=found, limit=limit, offset=offset)


@router.get("/templates/{slug}")
async def read_template(slug: str, _: Signed) -> Template:
    """One with its contract, code and readme."""
    return templates.read_template(slug)


@router.get("/suggestions")
async def list_suggestions(
    services: Ops,
    subject: Signed,
    api_id: Annotated[str | None, Query(max_length=100, description="id or slug")] = None,
) -> Page[Suggestion]:
    """What to make next, or for one API what callers will miss; by rules, without a model."""
    found = await suggestions.suggest(services, subject, api_id)
    return Page(items=found, limit=suggestions.MOST, offset=0)
