"""Forms and tools that can be enforced, those that cannot, and turns that would be refused."""

from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict

from generator.llm.base import Echo, Prompt, Tool, Turn
from generator.llm.capabilities import capabilities
from generator.llm.request import IN_FORM, closed, message, parameters
from tests.support.models import Verdict, prompt

ROW = capabilities("claude-sonnet-5-5", "anthropic")


class Inner(BaseModel):
    """Part of a form."""

    size: int


class Nested(BaseModel):
    """References are kept."""

    model_config = ConfigDict(extra="forbid")
    inner: list[Inner]


class Table(BaseModel):
    """Names that nobody knows before."""

    cells: dict[str, str]


class Anything(BaseModel):
    """A part of any form."""

    value: Any


@pytest.mark.parametrize("form", [Verdict, Nested])
def test_a_closed_form_is_enforced(form: type[BaseModel]) -> None:
    request = parameters(prompt(), ROW, form=form)
    schema = request["output_config"]["format"]["schema"]
    assert schema["additionalProperties"] is False
    assert IN_FORM not in str(request["system"])


@pytest.mark.parametrize("form", [Table, Anything])
def test_a_form_that_leaves_something_open_is_asked_for_in_words(form: type[BaseModel]) -> None:
    request = parameters(prompt(), ROW, form=form)
    assert "output_config" not in request
    assert request["system"][-1]["text"].startswith(IN_FORM)


def test_a_tool_that_leaves_something_open_is_not_strict() -> None:
    tool = Tool("t", "d", {"type": "object", "properties": {"any": {}}})
    (described,) = parameters(prompt(tools=(tool,)), ROW)["tools"]
    assert "strict" not in described
    assert described["input_schema"] == tool.schema


def test_bounds_move_into_words() -> None:
    schema = closed(Verdict.model_json_schema())
    assert schema is not None
    assert "maxLength" not in schema["properties"]["reason"]
    assert "maxLength: 100" in schema["properties"]["reason"]["description"]


@pytest.mark.parametrize(
    "turn",
    [
        Turn("user"),
        Turn("user", " \n"),
        Turn("assistant", echo=Echo("m", ({"type": "text", "text": " "},))),
        Turn("assistant", echo=Echo("m", ())),
    ],
)
def test_a_turn_never_is_empty(turn: Turn) -> None:
    assert message(turn, "m")["content"] == [{"type": "text", "text": "(nothing)"}]


def test_no_system_text_is_no_system_block() -> None:
    assert "system" not in parameters(Prompt("chat", "", (Turn("user", "Hi"),)), ROW)


def test_a_model_is_not_asked_for_more_than_it_can_write() -> None:
    asked = Prompt("chat", "s", (Turn("user", "Hi"),), max_tokens=10**9)
    assert parameters(asked, ROW)["max_tokens"] == 128_000
