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
NOTHING: Final = {"type": "text", "text": "(nothing)"}  # empty texts are refused
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
    wanted = form.model_json_schema() if form is not None else None
    enforced = closed(wanted) if wanted is not None and row.structured_output else None
    if enforced is not None:
        output["format"] = {"type": "json_schema", "schema": enforced}
    request: dict[str, Any] = {
        "model": row.name,
        "max_tokens": min(prompt.max_tokens, row.max_output),
        "messages": [message(turn, row.name) for turn in prompt.turns],
    }
    if system := _system(prompt, row, wanted if enforced is None else None):
        request["system"] = system
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
    prompt: Prompt, row: Capabilities, told: Mapping[str, Any] | None
) -> list[dict[str, Any]]:
    texts = [prompt.system, *prompt.context]
    if told is not None:
        texts.append(IN_FORM + json.dumps(told, sort_keys=True))
    blocks: list[dict[str, Any]] = [{"type": "text", "text": text} for text in texts if text]
    if row.caching and blocks:
        blocks[-1]["cache_control"] = MARK
    return blocks


def _tool(tool: Tool, row: Capabilities) -> dict[str, Any]:
    described: dict[str, Any] = {"name": tool.name, "description": tool.description}
    described["input_schema"] = dict(tool.schema)
    enforced = closed(tool.schema) if row.strict_tools else None
    if enforced is not None:
        described["input_schema"] = enforced
        described["strict"] = True
    if row.eager_tools:
        described["eager_input_streaming"] = True
    return described


def closed(schema: Mapping[str, Any]) -> dict[str, Any] | None:
    """The schema as it can be enforced; None when it leaves something open, which cannot be."""
    if _is_open(schema):
        return None
    try:
        enforced: dict[str, Any] = transform_schema(dict(schema))
    except ValueError:
        return None
    return enforced


def _is_open(schema: object) -> bool:
    if isinstance(schema, list):
        return any(_is_open(one) for one in schema)
    if not isinstance(schema, Mapping):
        return False
    if schema.get("type") == "object" and "properties" not in schema:
        return True
    return bool(schema.get("additionalProperties")) or any(map(_is_open, schema.values()))


def message(turn: Turn, model: str) -> dict[str, Any]:
    """One turn. What a model said goes back to the same model as it came."""
    if turn.echo is not None and turn.echo.model == model:
        said = [dict(block) for block in turn.echo.blocks if block.get("text", "x").strip()]
        return {"role": turn.role, "content": said or [NOTHING]}
    return {"role": turn.role, "content": _content(turn) or [NOTHING]}


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
    text = [{"type": "text", "text": turn.text}] if turn.text.strip() else []
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
