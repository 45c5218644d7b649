"""One suite over three kinds of models: current, older, and behind a compatible endpoint.

The server refuses with 400 whatever that kind does not take, so an answer is proof.
"""

from dataclasses import dataclass, replace

import pytest

from generator.llm.base import (
    Answer,
    CapReachedError,
    CutOffError,
    ModelMisconfiguredError,
    ModelUnavailableError,
    RefusedError,
    ToolResult,
    Turn,
    UnusableAnswerError,
)
from generator.llm.capabilities import Provider
from generator.llm.prices import OwnPrice
from tests.support.models import WRITE, Verdict, asking, prompt, saying

VERDICT = {"allowed": True, "reason": "fine"}
USE = {"uses": [{"name": "write_body", "input": {"body": "x = 1\n"}}]}


@dataclass(frozen=True)
class Kind:
    model: str
    speaks: Provider


KINDS = {
    "current": Kind("claude-sonnet-5-5", "scripted"),
    "older": Kind("claude-haiku-4-5", "scripted"),
    "compatible": Kind("local-model", "compatible"),
}


@pytest.fixture(params=sorted(KINDS))
def kind(request: pytest.FixtureRequest) -> Kind:
    return KINDS[request.param]


async def test_text_comes_whole_and_in_pieces(kind: Kind) -> None:
    said = "Guten Tag, schöne Welt. " * 5
    async with asking(saying({"text": said}), **vars(kind)) as it:
        parts = [part async for part in it.model.stream(prompt())]
    assert len(parts) > 2
    assert "".join(part for part in parts if isinstance(part, str)) == said
    assert isinstance(parts[-1], Answer)
    assert (parts[-1].text, parts[-1].stop) == (said, "end_turn")


async def test_a_tool_is_used(kind: Kind) -> None:
    pieces: list[str] = []

    async def note(piece: str) -> None:
        pieces.append(piece)

    async with asking(saying(USE), **vars(kind)) as it:
        answer = await it.model.converse(prompt(tools=(WRITE,)), note)
    assert [(use.name, use.input) for use in answer.uses] == [("write_body", {"body": "x = 1\n"})]
    assert answer.stop == "tool_use"
    assert "x = 1" in "".join(pieces)


async def test_a_conversation_goes_on_after_a_tool(kind: Kind) -> None:
    async with asking(saying({**USE, "thinking": "hm"}, {"text": "Done."}), **vars(kind)) as it:
        first = prompt(tools=(WRITE,))
        answer = await it.model.converse(first)
        result = Turn("user", results=(ToolResult(answer.uses[0].id, "taken"),))
        following = (*first.turns, answer.turn, result)
        last = await it.model.converse(replace(first, turns=following))
        echoed = it.messages[1].body["messages"][1]["content"]
    assert last.text == "Done."
    assert echoed[0] == {"type": "thinking", "thinking": "hm", "signature": "c2lnbmVk"}


async def test_a_form_is_filled(kind: Kind) -> None:
    async with asking(saying({"form": VERDICT}), **vars(kind)) as it:
        assert await it.model.fill(prompt(), Verdict) == Verdict(allowed=True, reason="fine")


async def test_a_form_that_is_wrong_is_asked_for_once_more(kind: Kind) -> None:
    long = {"allowed": True, "reason": "much too long " * 9}
    async with asking(saying({"form": long}, {"form": VERDICT}), **vars(kind)) as it:
        filled = await it.model.fill(prompt(), Verdict)
        told = it.messages[1].last
    assert filled.reason == "fine"
    assert "- reason: String should have at most 100 characters" in told


async def test_a_form_that_is_wrong_twice_is_unusable(kind: Kind) -> None:
    async with asking(saying({"text": "No."}, {"text": "Never."}), **vars(kind)) as it:
        with pytest.raises(UnusableAnswerError):
            await it.model.fill(prompt(), Verdict)
        assert len(it.purse.spent) == 2


async def test_each_call_is_paid_by_a_row_and_nothing_stays_reserved(kind: Kind) -> None:
    async with asking(saying({"text": "Yes."}), **vars(kind)) as it:
        answer = await it.model.converse(prompt())
    (spent,) = it.purse.spent
    assert (spent.model, spent.provider, spent.stop) == (kind.model, kind.speaks, "end_turn")
    assert spent.request_id.startswith("req_scripted_")
    assert spent.nano_usd == answer.nano_usd
    assert (spent.nano_usd > 0) is (kind.speaks != "compatible")
    assert spent.usage.output > 0
    assert it.purse.reserved == 0


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        ({"stop": "refusal", "category": "cyber"}, RefusedError),
        ({"text": "and then", "stop": "max_tokens"}, CutOffError),
        ({"text": "and then", "stop": "model_context_window_exceeded"}, CutOffError),
        ({"text": "hm", "stop": "something_new"}, UnusableAnswerError),
        ({"text": " "}, UnusableAnswerError),
        ({"status": 401}, ModelMisconfiguredError),
        ({"status": 403}, ModelMisconfiguredError),
        ({"status": 404}, ModelMisconfiguredError),
        ({"status": 400}, ModelMisconfiguredError),
        ({"status": 400, "message": "prompt is too long: 9 tokens > 8 maximum"}, CutOffError),
        ({"status": 413}, CutOffError),
    ],
)
async def test_what_ends_a_call_at_once(
    kind: Kind, reply: dict[str, object], error: type[Exception]
) -> None:
    async with asking(saying(reply, {"text": "never asked"}), **vars(kind)) as it:
        with pytest.raises(error):
            await it.model.converse(prompt())
    assert len(it.messages) == 1
    assert it.purse.reserved == 0
    assert len(it.purse.spent) == ("status" not in reply)


@pytest.mark.parametrize(
    "reply",
    [
        {"status": 429, "headers": {"retry-after": "3"}},
        {"status": 529},
        {"status": 500},
        {"fault": {"kind": "drop"}},
        {"text": "half of it", "fault": {"kind": "drop", "after": 4}},
        {"text": "half of it", "fault": {"kind": "malformed", "after": 4}},
        {"text": "half of it", "fault": {"kind": "error", "after": 4}},
    ],
)
async def test_what_is_tried_again(kind: Kind, reply: dict[str, object]) -> None:
    async with asking(saying(reply, {"text": "whole"}), **vars(kind)) as it:
        answer = await it.model.converse(prompt())
    assert answer.text == "whole"
    assert len(it.messages) == 2
    assert len(it.pauses) == 1
    assert it.purse.reserved == 0


async def test_a_model_that_stays_away_is_unavailable(kind: Kind) -> None:
    replies = [{"status": 529}] * 4
    async with asking(saying(*replies), **vars(kind)) as it:
        with pytest.raises(ModelUnavailableError):
            await it.model.converse(prompt())
    assert len(it.messages) == 4
    assert it.pauses == [0.5, 1.0, 2.0]
    assert it.purse.spent == []


async def test_a_paused_turn_is_gone_on_with(kind: Kind) -> None:
    paused = {"text": "One, ", "stop": "pause_turn"}
    async with asking(saying(paused, {"text": "two."}), **vars(kind)) as it:
        answer = await it.model.converse(prompt())
    assert answer.text == "One, two."
    assert len(it.purse.spent) == 2


async def test_no_call_is_made_past_a_cap(kind: Kind) -> None:
    own = OwnPrice(input=1000, output=1000)
    async with asking(saying({"text": "Yes."}), cap=10, own_price=own, **vars(kind)) as it:
        with pytest.raises(CapReachedError):
            await it.model.converse(prompt())
    assert it.messages == []
