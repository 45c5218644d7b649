"""One request as a scenario sees it, and what the real models would refuse of it."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from generator.llm.capabilities import Capabilities, capabilities
from generator.llm.request import IN_FORM

SAMPLING = ("temperature", "top_p", "top_k")


class RefusedRequestError(Exception):
    """Answered with an error and this text."""

    def __init__(self, text: str, status: int = 400) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True, slots=True)
class Asked:
    """A request: its path, its headers in lower case, its body."""

    path: str
    headers: Mapping[str, str]
    body: Mapping[str, Any]

    @property
    def model(self) -> str:
        """The model that is asked for."""
        return str(self.body.get("model", ""))

    @property
    def form(self) -> str:
        """Title of the form that the answer should have; "" when it may be anything."""
        return str((self.schema or {}).get("title", ""))

    @property
    def schema(self) -> Mapping[str, Any] | None:
        """That form, asked for with structured output or in words."""
        wanted = (self.body.get("output_config") or {}).get("format")
        if wanted is not None:
            schema: Mapping[str, Any] = wanted["schema"]
            return schema
        for text in texts(self.body.get("system")):
            if text.startswith(IN_FORM):
                told: Mapping[str, Any] = json.loads(text.removeprefix(IN_FORM))
                return told
        return None

    @property
    def tools(self) -> tuple[str, ...]:
        """Names of the tools that may be used."""
        return tuple(str(tool.get("name")) for tool in self.body.get("tools") or ())

    @property
    def last(self) -> str:
        """All text of the last turn, results of tools included."""
        turns = self.body.get("messages") or [{}]
        return "\n".join(texts(turns[-1].get("content")))

    @property
    def said(self) -> str:
        """All text that the user's turns hold."""
        turns = self.body.get("messages") or ()
        own = [turn.get("content") for turn in turns if turn.get("role") == "user"]
        return "\n".join(text for content in own for text in texts(content))


def texts(content: object) -> Iterator[str]:
    """Every text in a system prompt or a turn."""
    if isinstance(content, str):
        yield content
    elif isinstance(content, list):
        for block in content:
            if isinstance(block, Mapping):
                yield from texts(block.get("text") or block.get("content"))


def check(asked: Asked, *, compatible: bool) -> None:
    """Raise RefusedRequestError for what the service would answer with 400."""
    body = asked.body
    row = capabilities(asked.model, "compatible" if compatible else "scripted")
    if not asked.model:
        raise RefusedRequestError("model: field required")
    if not asked.path.endswith("count_tokens"):
        most = body.get("max_tokens")
        if not isinstance(most, int) or not 1 <= most <= row.max_output:
            raise RefusedRequestError(f"max_tokens: must be from 1 to {row.max_output}")
    _check_turns(body.get("messages"), row)
    _check_settings(body, row)
    _check_tools(body, row)


def _check_settings(body: Mapping[str, Any], row: Capabilities) -> None:
    output = body.get("output_config") or {}
    refused = {
        **dict.fromkeys(SAMPLING, not row.sampling),
        "thinking": not row.effort,
    }
    for name, unfit in refused.items():
        if unfit and name in body:
            raise RefusedRequestError(f"{name}: this model does not take it")
    if "effort" in output and not row.effort:
        raise RefusedRequestError("output_config.effort: this model does not take it")
    if "format" in output and not row.structured_output:
        raise RefusedRequestError("output_config.format: this model does not take it")
    if not row.caching and "cache_control" in json.dumps(body.get("system")):
        raise RefusedRequestError("cache_control: not known here")
    _check_closed((output.get("format") or {}).get("schema"))


def _check_tools(body: Mapping[str, Any], row: Capabilities) -> None:
    choice = (body.get("tool_choice") or {}).get("type", "auto")
    if choice not in {"auto", "none"} and not row.forced_tool:
        raise RefusedRequestError("tool_choice: this model's tools cannot be forced")
    for tool in body.get("tools") or ():
        if tool.get("strict"):
            if not row.strict_tools:
                raise RefusedRequestError("tools.strict: not known here")
            _check_closed(tool.get("input_schema"))
        if tool.get("eager_input_streaming") and not row.eager_tools:
            raise RefusedRequestError("tools.eager_input_streaming: not known here")


def _check_closed(schema: object) -> None:
    """A schema that is enforced has closed objects only, and no bounds."""
    if isinstance(schema, list):
        for one in schema:
            _check_closed(one)
    if not isinstance(schema, Mapping):
        return
    if schema.get("type") == "object" and schema.get("additionalProperties") is not False:
        raise RefusedRequestError("schema: additionalProperties must be false")
    for key in ("minimum", "maximum", "minLength", "maxLength", "maxItems"):
        if isinstance(schema.get(key), int):
            raise RefusedRequestError(f"schema: {key} is not supported")
    for value in schema.values():
        _check_closed(value)


def _check_turns(turns: object, row: Capabilities) -> None:
    if not isinstance(turns, list) or not turns:
        raise RefusedRequestError("messages: at least one is required")
    if turns[0].get("role") != "user":
        raise RefusedRequestError("messages: the first one must be the user's")
    if turns[-1].get("role") != "user" and not row.prefill:
        raise RefusedRequestError("messages: the last one must be the user's")
    open_uses: set[str] = set()
    for number, turn in enumerate(turns):
        blocks = turn.get("content")
        if not blocks:
            raise RefusedRequestError(f"messages.{number}: content must not be empty")
        blocks = blocks if isinstance(blocks, list) else []
        answered = {b["tool_use_id"] for b in blocks if b.get("type") == "tool_result"}
        if answered != open_uses:
            raise RefusedRequestError(f"messages.{number}: each tool_use needs its tool_result")
        open_uses = {b["id"] for b in blocks if b.get("type") == "tool_use"}
