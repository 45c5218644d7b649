"""A reply as the events of a stream, or as one message."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from generator.llm.scripted.asked import Asked
from generator.llm.scripted.scenario import Reply

Event = tuple[str, Mapping[str, Any]]


@dataclass(slots=True)
class Counter:
    """Counts tokens as four characters each, and remembers what it has cached."""

    cached: set[str] = field(default_factory=set)

    def count(self, asked: Asked) -> int:
        """Tokens of the whole prompt."""
        counted = [asked.body.get(key) for key in ("system", "tools", "messages")]
        return sum(_tokens(part) for part in counted if part)

    def usage(self, asked: Asked, output: int) -> dict[str, Any]:
        """What the call used: a marked prefix is written once, then read."""
        prefix = [asked.model, asked.body.get("tools"), asked.body.get("system")]
        marked = "cache_control" in json.dumps(prefix)
        size = _tokens(prefix) if marked else 0
        name = hashlib.sha256(json.dumps(prefix).encode()).hexdigest()
        known = name in self.cached
        if marked:
            self.cached.add(name)
        return {
            "input_tokens": max(self.count(asked) - size, 1),
            "output_tokens": output,
            "cache_creation_input_tokens": 0 if known else size,
            "cache_read_input_tokens": size if known else 0,
        }


def _tokens(value: Any) -> int:
    return len(json.dumps(value, ensure_ascii=False)) // 4 + 1


def blocks(reply: Reply, *, compatible: bool) -> Sequence[dict[str, Any]]:
    """What is said, whole."""
    text = reply.text
    if reply.form is not None:
        said = json.dumps(reply.form, ensure_ascii=False)
        text += f"Here it is:\n```json\n{said}\n```\n" if compatible else said
    if reply.uses_as_text:
        calls = [{"name": use.name, "arguments": use.input} for use in reply.uses]
        text += "".join(f"<tool_call>{json.dumps(call)}</tool_call>\n" for call in calls)
    made: list[dict[str, Any]] = []
    if reply.thinking:
        made.append({"type": "thinking", "thinking": reply.thinking, "signature": "c2lnbmVk"})
    if text:
        made.append({"type": "text", "text": text})
    for number, use in enumerate(() if reply.uses_as_text else reply.uses):
        name = use.id or f"toolu_{number:02}"
        made.append({"type": "tool_use", "id": name, "name": use.name, "input": use.input})
    return made


def message(reply: Reply, asked: Asked, counter: Counter, *, compatible: bool) -> dict[str, Any]:
    """The whole answer, as it is given to those who do not stream."""
    said = blocks(reply, compatible=compatible)
    uses = any(block["type"] == "tool_use" for block in said)
    details = {"type": "refusal", "category": reply.category or None, "explanation": None}
    return {
        "id": f"msg_{hashlib.sha256(json.dumps(asked.body).encode()).hexdigest()[:24]}",
        "type": "message",
        "role": "assistant",
        "model": asked.model,
        "content": said,
        "stop_reason": reply.stop or ("tool_use" if uses else "end_turn"),
        "stop_sequence": None,
        "stop_details": details if reply.stop == "refusal" else None,
        "usage": {**counter.usage(asked, _tokens(said)), **reply.usage},
    }


def events(whole: Mapping[str, Any], pieces: int) -> Iterator[Event]:
    """The same, piece by piece."""
    begun = {**whole, "content": [], "stop_reason": None, "stop_details": None}
    begun["usage"] = {**whole["usage"], "output_tokens": 1}
    yield "message_start", {"type": "message_start", "message": begun}
    yield "ping", {"type": "ping"}
    for index, block in enumerate(whole["content"]):
        yield from _block_events(index, block, pieces)
    ended = {key: whole[key] for key in ("stop_reason", "stop_sequence", "stop_details")}
    used = {"output_tokens": whole["usage"]["output_tokens"]}
    yield "message_delta", {"type": "message_delta", "delta": ended, "usage": used}
    yield "message_stop", {"type": "message_stop"}


def _block_events(index: int, block: Mapping[str, Any], pieces: int) -> Iterator[Event]:
    kind = block["type"]
    empty = {"text": {"text": ""}, "thinking": {"thinking": "", "signature": ""}}
    started = {**block, **empty.get(kind, {"input": {}})}
    yield (
        "content_block_start",
        {"type": "content_block_start", "index": index, "content_block": started},
    )
    for delta in _deltas(kind, block, pieces):
        yield (
            "content_block_delta",
            {"type": "content_block_delta", "index": index, "delta": delta},
        )
    yield "content_block_stop", {"type": "content_block_stop", "index": index}


def _deltas(kind: str, block: Mapping[str, Any], pieces: int) -> Iterator[dict[str, Any]]:
    if kind == "tool_use":
        # a text stands for an input that is cut off or no JSON at all
        given = block["input"]
        said = given if isinstance(given, str) else json.dumps(given, ensure_ascii=False)
        name, field_name = "input_json_delta", "partial_json"
    else:
        said, name, field_name = block[kind], f"{kind}_delta", kind
    for start in range(0, len(said), pieces):
        yield {"type": name, field_name: said[start : start + pieces]}
    if kind == "thinking":
        yield {"type": "signature_delta", "signature": block["signature"]}
