"""Answers for any description without a model: the library's nearest template."""

import importlib
import json
import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from generator.contract import Contract
from generator.llm.scripted.asked import Asked
from generator.llm.scripted.scenario import Reply, Use

_REQUEST = re.compile(r'<data name="request"[^>]*>(.*?)</data>', re.DOTALL)
_CONTRACT = re.compile(r'<data name="contract"[^>]*>(.*?)</data>', re.DOTALL)
_SAYS = "This is a demo without a language model: it knows the templates and nothing else."


class Template(Protocol):
    """A whole API that is there already."""

    @property
    def title(self) -> str:
        """What it is called."""
        ...

    @property
    def contract(self) -> Contract:
        """What it offers."""
        ...

    @property
    def body(self) -> str:
        """Its code."""
        ...


class Library(Protocol):
    """Where templates are found; the module `generator.library` is one."""

    def find(self, text: str) -> Template | None:
        """The template that a text means, if any."""
        ...

    def all_templates(self) -> Iterable[Template]:
        """Every one."""
        ...


class NoLibraryError(Exception):
    """There are no templates here."""


def shipped() -> Any:
    """The library of this installation, which satisfies `Library`."""
    try:
        return importlib.import_module("generator.library")
    except ModuleNotFoundError as error:
        raise NoLibraryError("the demo needs the library of templates") from error


class Demo:
    """Says what a model would say that always answers with a template."""

    def __init__(self, library: Library) -> None:
        self._library = library

    def __call__(self, asked: Asked) -> Reply | None:
        """The reply; counting is left to the server."""
        if asked.path.endswith("count_tokens"):
            return None
        if asked.schema is not None:
            return Reply(form=poured(self._known(asked), asked.schema, asked.schema))
        if "write_body" in asked.tools and "replace" not in asked.tools:
            return Reply(uses=(Use(name="write_body", input={"body": self._pick(asked).body}),))
        return Reply(text=_SAYS)

    def _known(self, asked: Asked) -> Mapping[str, Any]:
        """What forms can ask for: members of a contract, or a verdict on a request."""
        changed = _CONTRACT.search(asked.said)
        if changed is not None:
            kept: Mapping[str, Any] = json.loads(changed.group(1))
            return kept
        template = self._pick(asked)
        contract = template.contract.model_dump(mode="json", by_alias=True)
        told = f"The demo has no model; its template that comes nearest is: {template.title}."
        return {
            **contract,
            "allowed": True,
            "category": "api",
            "reason": told,
            "assumptions": [*contract["assumptions"], told],
        }

    def _pick(self, asked: Asked) -> Template:
        text = request_of(asked.said)
        found = self._library.find(text)
        if found is not None:
            return found
        everything = sorted(self._library.all_templates(), key=lambda one: one.title)
        return everything[zlib.crc32(text.encode()) % len(everything)]


def request_of(said: str) -> str:
    """The description in what the user's turns hold."""
    match = _REQUEST.search(said)
    try:
        value = json.loads(match.group(1)) if match is not None else said
    except ValueError:
        value = said
    if isinstance(value, Mapping):
        value = value.get("request") or value.get("prompt")
    return value if isinstance(value, str) else said


def poured(value: Any, schema: Mapping[str, Any], root: Mapping[str, Any]) -> Any:
    """A value brought into a form: JSON as text where the form wants text, pairs for objects."""
    schema = _resolved(schema, root)
    if "anyOf" in schema:
        return None if value is None else poured(value, schema["anyOf"][0], root)
    if "enum" in schema:
        return value if value in schema["enum"] else schema["enum"][0]
    if "const" in schema:
        return schema["const"]
    match schema.get("type"):
        case "object":
            known = value if isinstance(value, Mapping) else {}
            parts = schema.get("properties", {})
            return {name: poured(_part(known, name), part, root) for name, part in parts.items()}
        case "array":
            return [poured(one, schema.get("items", {}), root) for one in _items(value)]
        case "string":
            return _text(value)
        case "boolean":
            return bool(value)
        case "integer" | "number":
            return value if isinstance(value, int | float) else 0
    return value


def _resolved(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Mapping[str, Any]:
    name = schema.get("$ref", "").rpartition("/")[2]
    resolved: Mapping[str, Any] = root["$defs"][name] if name else schema
    return resolved


def _part(known: Mapping[str, Any], name: str) -> Any:
    """`body_schema_text` of a form is `body` of a contract, as text."""
    if name in known:
        return known[name]
    stem = name.removesuffix("_text")
    if stem == name:
        return None
    value = known.get(stem, known.get(stem.removesuffix("_schema")))
    return "" if value is None else json.dumps(value, ensure_ascii=False)


def _items(value: Any) -> Sequence[Any]:
    if isinstance(value, Mapping):
        return [{"name": name, "value": one} for name, one in value.items()]
    return value if isinstance(value, list | tuple) else []


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
