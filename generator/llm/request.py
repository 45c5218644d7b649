"""A prompt as parameters of the Messages API: only what the model's row accepts."""

import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from anthropic import transform_schema
from pydantic import BaseModel

from generator.llm.base import Prompt, Tool, Turn
from generator.llm.capabilities import Capabilities

MARK: Final = {"type": "ephemeral"}  # five minutes; every call within them renews it
IN_FORM: Final = (
    "Answer with one JSON object and nothing else, in a block fenced by ```json and ```. "
    "It has to fit this JSON Schema:\n"
)


def parameters(
    prompt: Prompt,
    row: Capabilities,
    *,
    effort: str = "",
    form: type[BaseModel] | None = None,
    user: str = "",
) -> dict[str, Any]:
    """Everything but the streaming switch. Never forces a tool, prefills or sets sampling."""
    output: dict[str, Any] = {}
    if row.effort and effort:
        output["effort"] = effort
    if form is not None and row.structured_output:
        output["format"] = {"type": "json_schema", "schema": transform_schema(form)}
    request: dict[str, Any] = {
        "model": row.name,
        "max_tokens": min(prompt.max_tokens, row.max_output),
        "system": _system(prompt, row, form),
        "messages": [message(turn, row.name) for turn in prompt.turns],
    }
    if prompt.tools:
        request["tools"] = [_tool(tool, row) for tool in prompt.tools]
    if output:
        request["output_config"] = output
    if user:
        request["metadata"] = {"user_id": user}
    return request


def counted(request: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a request that counting takes."""
    return {key: request[key] for key in request if key not in {"max_tokens", "metadata"}}


def estimated(request: Mapping[str, Any]) -> int:
    """A count that is rather too high, where nobody counts for us: two bytes a token."""
    return len(json.dumps(counted(request), ensure_ascii=False).encode()) // 2 + 1


def _system(
    prompt: Prompt, row: Capabilities, form: type[BaseModel] | None
) -> list[dict[str, Any]]:
    texts = [prompt.system, *prompt.context]
    if form is not None and not row.structured_output:
        texts.append(IN_FORM + json.dumps(form.model_json_schema(), sort_keys=True))
    blocks: list[dict[str, Any]] = [{"type": "text", "text": text} for text in texts if text]
    if row.caching and blocks:
        blocks[-1]["cache_control"] = MARK
    return blocks


def _tool(tool: Tool, row: Capabilities) -> dict[str, Any]:
    described: dict[str, Any] = {"name": tool.name, "description": tool.description}
    described["input_schema"] = dict(tool.schema)
    if row.strict_tools:
        described["input_schema"] = transform_schema(dict(tool.schema))
        described["strict"] = True
    if row.eager_tools:
        described["eager_input_streaming"] = True
    return described


def message(turn: Turn, model: str) -> dict[str, Any]:
    """One turn. What a model said goes back to the same model as it came."""
    if turn.echo is not None and turn.echo.model == model:
        return {"role": turn.role, "content": [dict(block) for block in turn.echo.blocks]}
    return {"role": turn.role, "content": _content(turn)}


def _content(turn: Turn) -> Sequence[dict[str, Any]]:
    results: list[dict[str, Any]] = [
        {
            "type": "tool_result",
            "tool_use_id": result.id,
            "content": result.text,
            "is_error": result.is_error,
        }
        for result in turn.results
    ]
    text = [{"type": "text", "text": turn.text}] if turn.text else []
    uses: list[dict[str, Any]] = [
        {"type": "tool_use", "id": use.id, "name": use.name, "input": dict(use.input)}
        for use in turn.uses
    ]
    # results come first in a user's turn, uses last in the model's
    return [*results, *text, *uses]


def opaque(user_id: str, salt: str) -> str:
    """A name for abuse reports that tells nobody who it is; the same for the same person."""
    if not user_id:
        return ""
    return hmac.new(salt.encode(), f"user:{user_id}".encode(), hashlib.sha256).hexdigest()[:32]
