"""What the assistant may propose. A proposal is a form: nothing happens until its user sends it.

Where it goes and whom it names comes from what is stored; from the model come only the values of
the form's fields, which the user sees before and the route checks as ever.
"""

import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from gateway.auth.subject import User
from gateway.operations import apis
from gateway.operations.chat_looks import api_of, told
from gateway.operations.ports import Services
from gateway.operations.values import Api
from generator.chat import Helper, ToolRefused, harmless
from generator.llm.base import Tool

_TEXT_CHARACTERS = 2_000


@dataclass(frozen=True, slots=True)
class FormField:
    """One field that is filled in, and can be changed before it is sent."""

    name: str
    label: str
    type: Literal["text", "long_text", "number"]
    value: str | int


@dataclass(frozen=True, slots=True)
class Proposal:
    """A change to confirm: send `fixed` and the fields as JSON to `url` with `method`."""

    id: str
    action: str
    title: str
    method: Literal["POST", "PATCH"]
    url: str
    fixed: Mapping[str, str | int]
    fields: tuple[FormField, ...]
    target: str  # name of the API it is about, as stored; empty for none


@dataclass(frozen=True, slots=True)
class _Kind:
    """One kind of proposal. `url` and `title` take the API; `fields` come from the model."""

    action: str
    title: str
    method: Literal["POST", "PATCH"]
    url: str
    fields: tuple[tuple[str, str, Literal["text", "long_text", "number"]], ...] = ()
    fixed: tuple[tuple[str, str | int], ...] = ()

    @property
    def needs_api(self) -> bool:
        return "{id}" in self.url


_KINDS = (
    _Kind("generate_api", "Generate a new API", "POST", "/api/generate",
          (("prompt", "Description", "long_text"),)),
    _Kind("edit_api", "Change {name} in words", "POST", "/api/apis/{id}/edits",
          (("prompt", "What to change", "long_text"),)),
    _Kind("deploy_version", "Let a version of {name} answer", "POST", "/api/apis/{id}/deployments",
          (("version", "Version", "number"),)),
    _Kind("roll_back", "Roll {name} back", "POST", "/api/apis/{id}/rollback"),
    _Kind("pause_api", "Pause {name}", "PATCH", "/api/apis/{id}", fixed=(("status", "paused"),)),
    _Kind("resume_api", "Resume {name}", "PATCH", "/api/apis/{id}", fixed=(("status", "active"),)),
    _Kind("rename_api", "Rename {name}", "PATCH", "/api/apis/{id}", (("name", "Name", "text"),)),
    _Kind("create_key", "Create a key for {name}", "POST", "/api/apis/{id}/keys",
          (("name", "Name of the key", "text"),)),
)  # fmt: skip


def proposals(services: Services, person: User) -> list[Helper]:
    """Tools that make forms. They read the API as the person, and change nothing."""
    return [_helper(services, person, kind) for kind in _KINDS]


def _helper(services: Services, person: User, kind: _Kind) -> Helper:
    async def propose(given: Mapping[str, Any]) -> object:
        api = await apis.read_api(services, person, api_of(given)) if kind.needs_api else None
        return asdict(_made(kind, api, given))

    properties: dict[str, Any] = {
        name: {"type": "integer" if form == "number" else "string", "description": label}
        for name, label, form in kind.fields
    }
    if kind.needs_api:
        properties["api"] = {"type": "string", "description": "id or slug"}
    schema = {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
    text = kind.title.format(name="an API") + ". Shows the user a form; only they can send it."
    return Helper(Tool(f"propose_{kind.action}", text, schema), told(propose))


def _made(kind: _Kind, api: Api | None, given: Mapping[str, Any]) -> Proposal:
    target = api.name if api else ""
    return Proposal(
        id=secrets.token_hex(8),
        action=kind.action,
        title=kind.title.format(name=target or "an API"),
        method=kind.method,
        url=kind.url.format(id=api.id if api else ""),
        fixed=dict(kind.fixed),
        fields=tuple(
            FormField(name, label, form, _value(name, form, given.get(name)))
            for name, label, form in kind.fields
        ),
        target=target,
    )


def _value(name: str, form: str, value: object) -> str | int:
    if form == "number":
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ToolRefused(f"{name} is a whole number from 1.")
        return value
    if not isinstance(value, str) or not value.strip():
        raise ToolRefused(f"{name} is a text.")
    return harmless(value.strip())[:_TEXT_CHARACTERS]
