"""What each model accepts, read from dated rows; requests are built from it, never from names."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal

Provider = Literal["anthropic", "compatible", "scripted"]

_DATED = re.compile(r"-20\d{6}$")


@dataclass(frozen=True, slots=True)
class Capabilities:
    """One row. What is false is answered with an error, or silently ignored, by the model."""

    name: str
    price: str  # id of a price row; "" is decided by the provider
    forced_tool: bool
    prefill: bool
    sampling: bool
    effort: bool
    structured_output: bool
    strict_tools: bool
    eager_tools: bool  # a tool's input is streamed while it is written
    caching: bool
    count_tokens: bool
    max_output: int
    context: int
    stronger: str = ""  # the model to try once when this one cannot repair its code


@cache
def table() -> Mapping[str, Any]:
    """The rows as they stand in the file."""
    text = files("generator.llm").joinpath("models.json").read_text()
    rows: Mapping[str, Any] = json.loads(text)
    return rows


@cache
def capabilities(model: str, provider: Provider) -> Capabilities:
    """The model's row; for what is not known the row that asks for the least.

    Behind a compatible endpoint a familiar name proves nothing, so names are not looked up there.
    """
    if provider == "compatible":
        return Capabilities(**{**table()["compatible"], "name": model})
    plain = _DATED.sub("", model)
    for row in table()["models"]:
        if row["name"] in {model, plain}:
            return Capabilities(**row)
    return Capabilities(**{**table()["unknown"], "name": model})
