"""A conversation goes on while the model looks things up, within bounds."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generator.chat import (
    MAX_TURNS,
    MAX_USES,
    RESULT_CHARACTERS,
    Helper,
    Looked,
    Piece,
    Said,
    ToolRefused,
    as_data,
    converse,
    harmless,
)
from generator.llm.base import ModelUnavailableError, Tool, Turn
from generator.types import GeneratorError
from tests.support.scripted_turns import ScriptedTurns, says

ASKED = [Turn("user", "How many?")]


def helper(name: str = "count", result: object = 7) -> Helper:
    async def run(given: Mapping[str, Any]) -> object:
        if result is None:
            raise ToolRefused("Not\x00 so.")
        return {"given": dict(given), "result": result}

    return Helper(Tool(name, "Counts.", {"type": "object"}), run)


async def parts_of(model: ScriptedTurns, *helpers: Helper) -> list[Piece | Looked | Said]:
    return [part async for part in converse(model, "chat", "system", ASKED, helpers)]


async def test_text_comes_in_pieces_and_then_whole() -> None:
    parts = await parts_of(ScriptedTurns([says("Seven.")]))
    assert parts == [Piece("Sev"), Piece("en."), Said("Seven.", 1_000)]


async def test_what_a_tool_gives_back_is_data_in_the_next_turn() -> None:
    model = ScriptedTurns([says("", ("count", {"of": "x"})), says("Seven.")])
    parts = await parts_of(model, helper())
    assert Looked("count", {"given": {"of": "x"}, "result": 7}) in parts
    assert parts[-1] == Said("Seven.", 2_000)
    [result] = model.prompts[1].turns[-1].results
    assert json.loads(result.text) == {"data": {"given": {"of": "x"}, "result": 7}}
    assert model.prompts[1].system == "system"


async def test_a_tool_that_is_not_there_is_told_and_not_run() -> None:
    model = ScriptedTurns([says("", ("delete_api", {})), says("No.")])
    parts = await parts_of(model, helper())
    assert Looked("delete_api", None) in parts
    assert model.prompts[1].turns[-1].results[0].is_error


async def test_a_refusal_of_a_tool_is_told_without_control_characters() -> None:
    model = ScriptedTurns([says("", ("count", {})), says("No.")])
    await parts_of(model, helper(result=None))
    assert model.prompts[1].turns[-1].results[0].text == "Not  so."


async def test_a_model_that_never_ends_is_ended() -> None:
    model = ScriptedTurns([says("Again. ", ("count", {}))] * (MAX_TURNS + 5))
    parts = await parts_of(model, helper())
    assert len(model.prompts) == MAX_TURNS
    assert parts[-1] == Said("Again. " * MAX_TURNS, 1_000 * MAX_TURNS, is_whole=False)


async def test_tools_are_taken_away_after_so_many_uses() -> None:
    many = says("", *[("count", {})] * MAX_USES)
    model = ScriptedTurns([many, says("Enough.")])
    await parts_of(model, helper())
    assert model.prompts[1].tools == ()


async def test_an_error_of_the_model_comes_through() -> None:
    with pytest.raises(ModelUnavailableError):
        await parts_of(ScriptedTurns([ModelUnavailableError("Away.")]))


async def test_a_stream_that_ends_without_an_answer_is_an_error() -> None:
    class Short(ScriptedTurns):
        async def stream(self, prompt: Any) -> Any:
            yield "Sev"

    with pytest.raises(GeneratorError):
        await parts_of(Short([]))


async def test_who_leaves_ends_the_models_work() -> None:
    model = ScriptedTurns([says("Seven.")])
    parts = converse(model, "chat", "system", ASKED, [])
    assert await anext(parts) == Piece("Sev")
    assert not model.ended
    await parts.aclose()
    assert model.ended


def test_a_long_result_is_cut() -> None:
    assert len(as_data("x" * 100_000)) < RESULT_CHARACTERS + 20


@given(st.text())
def test_harmless_text_can_be_sent_and_shown(text: str) -> None:
    made = harmless(text)
    made.encode()
    assert not any(ord(c) < 32 and c not in "\t\n" for c in made)
    assert "\u202e" not in made
