"""The library of templates: list, read, and make an API from one. They are data, never run here."""

from dataclasses import dataclass, replace
from typing import Any

from gateway.errors import NotFoundError
from gateway.operations import inputs
from gateway.operations.apis import NewApi
from generator import library
from generator.contract import Contract

QUERY_CHARACTERS = 200


class TemplateNotFoundError(NotFoundError):
    """The library has no template of this slug."""

    code, title = "template_not_found", "Template not found"


@dataclass(frozen=True, slots=True)
class TemplateOperation:
    """One operation, as a list shows it."""

    method: str
    path: str
    summary: str


@dataclass(frozen=True, slots=True)
class TemplateSummary:
    """A template without its code; `storage` is `kv` when it remembers something."""

    slug: str
    title: str
    summary: str
    keywords: tuple[str, ...]
    operations: tuple[TemplateOperation, ...]
    storage: str
    outbound_hosts: tuple[str, ...]
    dependencies: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Template:
    """A template with all there is of it; `readme` is Markdown. `Any`: the contract as JSON."""

    slug: str
    title: str
    summary: str
    keywords: tuple[str, ...]
    operations: tuple[TemplateOperation, ...]
    storage: str
    outbound_hosts: tuple[str, ...]
    dependencies: tuple[str, ...]
    contract: dict[str, Any]
    code: str
    readme: str


def list_templates(query: str, limit: int, offset: int) -> list[TemplateSummary]:
    """All in the library's order, or what has to do with a text, best first."""
    text = inputs.checked_description(query.strip())
    found = library.search(text, limit + offset) if text else library.all_templates()
    return [summary_of(one) for one in found[offset : offset + limit]]


def read_template(slug: str) -> Template:
    """One with its contract, code and readme."""
    one = _found(slug)
    plain = summary_of(one)
    return Template(
        **{name: getattr(plain, name) for name in plain.__slots__},
        contract=one.contract.model_dump(mode="json", by_alias=True),
        code=one.code,
        readme=one.readme,
    )


def made_from(new: NewApi, slug: str, *, own_egress: bool, own_description: bool) -> NewApi:
    """The same with the template's code, and what was not said taken from the template."""
    one = _found(slug)
    changed: dict[str, Any] = {"code": one.code}
    if not own_egress:
        changed["egress"] = {"hosts": list(one.contract.outbound_hosts)}
    if not own_description:
        changed["description"] = one.summary
    return replace(new, **changed)


def template_of(code: str) -> library.Template | None:
    """The template whose code this is, byte by byte."""
    return next((one for one in library.all_templates() if one.code == code), None)


def contract_of(code: str) -> Contract | None:
    """The contract of code that is a template's."""
    found = template_of(code)
    return found.contract if found else None


def summary_of(one: library.Template) -> TemplateSummary:
    """What a list shows of it."""
    return TemplateSummary(
        slug=one.slug,
        title=one.title,
        summary=one.summary,
        keywords=one.keywords,
        operations=tuple(
            TemplateOperation(operation.method, operation.path, operation.summary)
            for operation in one.contract.operations
        ),
        storage=one.contract.storage.value,
        outbound_hosts=one.contract.outbound_hosts,
        dependencies=one.contract.dependencies,
    )


def _found(slug: str) -> library.Template:
    one = library.get(slug)
    if one is None:
        raise TemplateNotFoundError("GET /api/templates lists those that there are")
    return one
