"""The events of a stream put together again. Pure: text in, an answer or what is known out."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from generator.llm.base import ToolUse, Usage

CHARACTERS_A_TOKEN = 3  # for what was written before a stream broke off; rather too few
MOST_CHARACTERS = 4_000_000


class BrokenStreamError(Exception):
    """Not the events of an answer, or not all of them."""


class ToldError(Exception):
    """The stream told of an error instead of ending. `kind` is the service's word for it."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(kind)
        self.kind = kind
        self.text = text


@dataclass(slots=True)
class Gathered:
    """What one stream has said so far."""

    blocks: dict[int, dict[str, Any]] = field(default_factory=dict)
    written: int = 0  # characters that came, shown or not
    started: bool = False
    ended: bool = False
    faulty: bool = False  # a tool's input is no JSON object
    stop: str = ""
    category: str = ""  # of a refusal
    _counts: dict[str, int] = field(default_factory=dict)
    _pieces: dict[int, list[str]] = field(default_factory=dict)

    def take(self, name: str, data: str) -> str:
        """Take one event; the piece of text or of a tool's input that it brought, or ""."""
        if name == "ping" or not data:
            return ""
        try:
            return self._take(json.loads(data))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise BrokenStreamError("an event of an unknown form") from error

    def _take(self, event: Mapping[str, Any]) -> str:
        match event["type"]:
            case "message_start":
                self.started = True
                self._count(event["message"].get("usage") or {})
            case "content_block_start":
                self.blocks[event["index"]] = dict(event["content_block"])
                self._pieces[event["index"]] = []
            case "content_block_delta":
                return self._add(event["index"], event["delta"])
            case "content_block_stop":
                self._close(event["index"])
            case "message_delta":
                self.stop = event["delta"].get("stop_reason") or self.stop
                self.category = (event["delta"].get("stop_details") or {}).get("category") or ""
                self._count(event.get("usage") or {})
            case "message_stop":
                self.ended = True
            case "error":
                raise ToldError(str(event["error"]["type"]), str(event["error"].get("message")))
        return ""

    def _add(self, index: int, delta: Mapping[str, Any]) -> str:
        block = self.blocks[index]
        match delta["type"]:
            case "text_delta":
                return self._piece(index, delta["text"])
            case "input_json_delta":
                return self._piece(index, delta["partial_json"])
            case "thinking_delta":
                self._piece(index, delta["thinking"])
            case "signature_delta":
                block["signature"] = delta["signature"]
        return ""

    def _piece(self, index: int, piece: str) -> str:
        self.written += len(piece)
        if self.written > MOST_CHARACTERS:
            raise ValueError("longer than any answer")
        self._pieces[index].append(piece)
        return piece

    def _close(self, index: int) -> None:
        block, text = self.blocks[index], "".join(self._pieces.pop(index))
        match block["type"]:
            case "text" | "thinking":
                block[block["type"]] += text
            case "tool_use":
                self._input(block, text)

    def _input(self, block: dict[str, Any], text: str) -> None:
        """An input that was cut off is no JSON; whether that matters is seen at the end."""
        try:
            block["input"] = json.loads(text) if text else block.get("input") or {}
        except ValueError:
            self.faulty = True
        self.faulty = self.faulty or not isinstance(block["input"], dict)

    def _count(self, usage: Mapping[str, Any]) -> None:
        """Totals that a later event gives replace earlier ones."""
        created = usage.get("cache_creation") or {}
        for key, value in {**usage, **created}.items():
            if isinstance(value, int) and value >= 0:
                self._counts[key] = value

    @property
    def usage(self) -> Usage:
        """What the service counted; for a broken stream what came, where that is more."""
        counts = self._counts
        hour = counts.get("ephemeral_1h_input_tokens", 0)
        output = counts.get("output_tokens", 0)
        if not self.stop:
            output = max(output, -(-self.written // CHARACTERS_A_TOKEN))
        return Usage(
            input=counts.get("input_tokens", 0),
            output=output,
            cache_write_5m=max(counts.get("cache_creation_input_tokens", 0) - hour, 0),
            cache_write_1h=hour,
            cache_read=counts.get("cache_read_input_tokens", 0),
        )

    def whole(self) -> tuple[str, tuple[ToolUse, ...], tuple[dict[str, Any], ...]]:
        """Text, uses of tools, and all blocks as they came; for a stream that ended."""
        if self.faulty:
            raise BrokenStreamError("a tool's input is no JSON object")
        blocks = tuple(self.blocks[index] for index in sorted(self.blocks))
        try:
            text = "".join(block["text"] for block in blocks if block["type"] == "text")
            uses = tuple(
                ToolUse(str(block["id"]), str(block["name"]), block["input"])
                for block in blocks
                if block["type"] == "tool_use"
            )
        except (KeyError, TypeError) as error:
            raise BrokenStreamError("a block of an unknown form") from error
        return text, uses, blocks
