"""What is sent, what is paid when things break off, and what is never shown or logged."""

import asyncio
import logging
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any

import pytest

from generator.llm.base import (
    Answer,
    CapReachedError,
    CutOffError,
    ModelMisconfiguredError,
    ModelUnavailableError,
    Turn,
    Usage,
)
from generator.llm.scripted import Asked, Scenario, scripted
from generator.llm.scripted.scenario import Reply
from generator.llm.settings import Patience
from tests.support.models import KEY, WRITE, Asking, Verdict, asking, prompt, saying

LONG = "word " * 400


async def sent(speaks: Any = "scripted", model: str = "", **more: Any) -> dict[str, Any]:
    """The body of one request."""
    async with asking(saying({"text": "Yes."}), speaks=speaks, model=model, **more) as it:
        await it.model.converse(replace(prompt(tools=(WRITE,)), context=("Our rules.",)))
        return dict(it.messages[0].body)


async def test_our_own_texts_are_cached_and_the_users_never() -> None:
    body = await sent()
    assert [block.get("cache_control") for block in body["system"]] == [None, {"type": "ephemeral"}]
    assert "cache_control" not in str(body["messages"])


async def test_a_current_model_is_steered_by_effort_and_strict_tools() -> None:
    body = await sent()
    assert body["output_config"] == {"effort": "medium"}
    assert body["tools"][0]["strict"] is True
    assert body["tools"][0]["eager_input_streaming"] is True


async def test_a_compatible_endpoint_gets_nothing_special() -> None:
    body = await sent("compatible")
    assert set(body) == {"model", "max_tokens", "system", "messages", "tools", "stream"}
    assert set(body["tools"][0]) == {"name", "description", "input_schema"}


@pytest.mark.parametrize("model", ["claude-sonnet-5-5", "claude-haiku-4-5"])
async def test_nothing_is_forced_prefilled_or_sampled(model: str) -> None:
    body = await sent(model=model)
    assert not {"tool_choice", "temperature", "top_p", "top_k", "thinking"} & set(body)
    assert body["messages"][-1]["role"] == "user"


async def test_a_user_is_named_by_an_opaque_hash() -> None:
    body = await sent(user_id="ada@example.org", user_salt="salt")
    name = body["metadata"]["user_id"]
    assert len(name) == 32
    assert "ada@" not in str(body)
    assert name != (await sent(user_id="ada@example.org", user_salt="other"))["metadata"]["user_id"]


async def test_a_second_call_reads_the_cache_and_costs_less() -> None:
    asked = replace(prompt(), context=(LONG,))
    async with asking(saying({"text": "One."}, {"text": "Two."})) as it:
        first = await it.model.converse(asked)
        second = await it.model.converse(asked)
    assert first.usage.cache_write_5m == second.usage.cache_read > 400
    assert second.nano_usd < first.nano_usd / 2


async def test_all_classes_of_tokens_are_read_from_the_answer() -> None:
    usage = {
        "input_tokens": 1,
        "cache_creation_input_tokens": 5,
        "cache_creation": {"ephemeral_5m_input_tokens": 2, "ephemeral_1h_input_tokens": 3},
        "cache_read_input_tokens": 4,
        "output_tokens": 6,
    }
    async with asking(saying({"text": "Yes.", "usage": usage})) as it:
        answer = await it.model.converse(prompt())
    assert answer.usage == Usage(1, 6, 2, 3, 4)


async def test_counting_goes_before_asking_and_failing_to_count_is_no_failure() -> None:
    scenario = Scenario.of(
        {"when": {"counting": True}, "replies": [{"status": 500}]},
        {"replies": [{"text": "Yes."}]},
    )
    async with asking(scenario) as it:
        await it.model.converse(prompt())
    assert [asked.path for asked in it.seen] == ["/v1/messages/count_tokens", "/v1/messages"]


async def test_a_prompt_longer_than_the_window_is_not_sent() -> None:
    async with asking(saying({"text": "Yes."}), speaks="compatible") as it:
        with pytest.raises(CutOffError):
            await it.model.converse(prompt("x" * 140_000))
    assert it.seen == []


async def test_the_answer_gets_the_room_that_the_window_leaves() -> None:
    async with asking(saying({"text": "Yes."}), speaks="compatible") as it:
        await it.model.converse(prompt("x" * 110_000))
    assert 256 < it.messages[0].body["max_tokens"] < 16_000


async def test_what_a_broken_stream_said_is_paid() -> None:
    said = {"text": "x" * 300, "pieces": 100, "fault": {"kind": "drop", "after": 6}}
    async with asking(saying(said, {"text": "whole"})) as it:
        await it.model.converse(prompt())
    broken, whole = it.purse.spent
    assert (broken.stop, broken.usage.output) == ("model_unavailable", 100)
    assert broken.usage.input > 0
    assert whole.stop == "end_turn"


async def test_a_call_that_never_began_costs_nothing() -> None:
    async with asking(saying({"fault": {"kind": "drop"}}, {"text": "whole"})) as it:
        await it.model.converse(prompt())
    assert len(it.purse.spent) == 1
    assert it.purse.reserved == 0


async def cancelled(it: Asking, until: str) -> None:
    """Cancel a call once it has said so much."""
    heard = asyncio.Event()
    pieces: list[str] = []

    async def note(piece: str) -> None:
        pieces.append(piece)
        if "".join(pieces) == until:
            heard.set()

    task = asyncio.create_task(it.model.converse(prompt(), note))
    await heard.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_cancelled_call_is_settled_with_what_is_known() -> None:
    said = {"text": "abcdef", "pieces": 3, "fault": {"kind": "hang", "after": 4}}
    async with asking(saying(said)) as it:
        await cancelled(it, "abc")
    (spent,) = it.purse.spent
    assert (spent.stop, spent.usage.output) == ("cancelled", 1)
    assert it.purse.reserved == 0


async def test_a_stream_that_nobody_reads_on_is_settled() -> None:
    said = {"text": "abcdef", "pieces": 3, "fault": {"kind": "hang", "after": 4}}
    async with asking(saying(said)) as it:
        parts = it.model.stream(prompt())
        assert await anext(parts) == "abc"
        await parts.aclose()
    assert [spent.stop for spent in it.purse.spent] == ["cancelled"]
    assert it.purse.reserved == 0


@pytest.mark.parametrize("after", [0, 4])
async def test_silence_is_not_waited_for(after: int) -> None:
    quick = Patience(first_byte=0.05, silence=0.05, tries=1)
    said = {"text": "abcdef", "fault": {"kind": "hang", "after": after}}
    async with asking(saying(said), patience=quick) as it:
        with pytest.raises(ModelUnavailableError, match="in time"):
            await it.model.converse(prompt())
    assert it.purse.reserved == 0


async def test_a_call_ends_in_its_time_whatever_comes() -> None:
    short = Patience(total=0.2)
    away = {"status": 529, "headers": {"retry-after": "1"}}
    async with asking(saying(away), patience=short) as it:
        with pytest.raises(ModelUnavailableError):
            await it.model.converse(prompt())
    assert it.pauses == []


async def test_a_call_ends_in_its_time_when_nothing_comes() -> None:
    short = Patience(total=0.1)
    async with asking(saying({"fault": {"kind": "hang"}}), patience=short) as it:
        with pytest.raises(ModelUnavailableError, match="in time"):
            await it.model.converse(prompt())
    assert len(it.messages) == 1


async def test_a_server_that_asks_for_an_hour_is_away() -> None:
    async with asking(saying({"status": 429, "headers": {"retry-after": "3600"}})) as it:
        with pytest.raises(ModelUnavailableError):
            await it.model.converse(prompt())
    assert it.pauses == []


async def test_a_pause_is_as_long_as_the_server_asks() -> None:
    waits = [{"status": 429, "headers": {"retry-after": "7"}}]
    waits += [{"status": 429, "headers": {"retry-after-ms": "1500"}}]
    async with asking(saying(*waits, {"text": "Yes."})) as it:
        await it.model.converse(prompt())
    assert it.pauses == [7.0, 1.5]


async def test_pieces_that_were_shown_are_never_shown_again() -> None:
    said = {"text": "abcdef", "pieces": 3, "fault": {"kind": "drop", "after": 4}}
    async with asking(saying(said, {"text": "again"})) as it:
        parts = it.model.stream(prompt())
        assert await anext(parts) == "abc"
        with pytest.raises(ModelUnavailableError):
            await anext(parts)
    assert len(it.messages) == 1


async def test_an_input_of_a_tool_that_is_no_json_is_asked_for_again() -> None:
    cut = {"uses": [{"name": "write_body", "input": '{"body": "x'}]}
    whole = {"uses": [{"name": "write_body", "input": {"body": "x"}}]}
    async with asking(saying(cut, whole)) as it:
        answer = await it.model.converse(prompt(tools=(WRITE,)))
    assert answer.uses[0].input == {"body": "x"}


async def test_an_input_that_the_length_limit_cut_is_cut_off() -> None:
    cut = {"uses": [{"name": "write_body", "input": '{"body": "x'}], "stop": "max_tokens"}
    async with asking(saying(cut)) as it:
        with pytest.raises(CutOffError):
            await it.model.converse(prompt(tools=(WRITE,)))


async def test_a_tool_that_a_local_model_wrote_down_is_used() -> None:
    said = {"uses": [{"name": "write_body", "input": {"body": "x"}}], "uses_as_text": True}
    async with asking(saying(said), speaks="compatible") as it:
        answer = await it.model.converse(prompt(tools=(WRITE,)))
    assert answer.uses[0].input == {"body": "x"}
    assert answer.stop == "tool_use"


async def test_an_echo_goes_back_only_to_the_model_that_said_it() -> None:
    said = {"text": "Yes.", "thinking": "hm"}
    async with asking(saying(said, {"text": "Mended."})) as it:
        first = await it.model.converse(prompt())
        stronger = it.model.escalated("code")
        assert stronger is not None
        turns = (Turn("user", "Hello"), first.turn, Turn("user", "More"))
        await stronger.converse(replace(prompt(), turns=turns))
        asked = it.messages[1]
    assert asked.model == "claude-opus-5-5"
    assert asked.body["messages"][1]["content"] == [{"type": "text", "text": "Yes."}]


async def test_no_key_says_what_to_set_and_asks_nobody() -> None:
    async with asking(saying({"text": "Yes."}), speaks="anthropic", key="") as it:
        with pytest.raises(ModelMisconfiguredError, match="ANTHROPIC_API_KEY"):
            await it.model.converse(prompt())
    assert it.seen == []


async def test_an_error_shows_no_key() -> None:
    told = {"status": 401, "message": f"bad key {KEY}\n\x1b[31m" + "x" * 999}
    async with asking(saying(told)) as it:
        with pytest.raises(ModelMisconfiguredError) as caught:
            await it.model.converse(prompt())
    assert KEY not in caught.value.reason
    assert "\x1b" not in caught.value.reason
    assert len(caught.value.reason) < 500


async def test_neither_prompts_nor_answers_nor_keys_are_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.DEBUG):
        said = {"text": "the-answer"}
        async with asking(saying({"status": 529}, said)) as it:
            await it.model.converse(prompt("the-question"))
    assert not any(word in caplog.text for word in ("the-answer", "the-question", KEY))


async def test_keys_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "from-outside")
    monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", "from-outside")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "http://127.0.0.1:1")
    async with asking(saying({"text": "Yes."})) as it:
        await it.model.converse(prompt())
    assert "from-outside" not in str(it.messages[0].headers)


async def test_two_calls_at_once_never_spend_more_than_the_cap() -> None:
    def answering(asked: Asked) -> Reply | None:
        return None if asked.path.endswith("count_tokens") else Reply(text="Yes.")

    async with asking(answering, cap=200_000_000) as it:
        calls: list[Coroutine[Any, Any, Answer]] = [it.model.converse(prompt()) for _ in range(5)]
        results = await asyncio.gather(*calls, return_exceptions=True)
    refused = [one for one in results if isinstance(one, CapReachedError)]
    assert 0 < len(refused) < 5
    assert it.purse.reserved == 0


async def test_a_form_is_enforced_where_it_can_be() -> None:
    async with asking(saying({"form": {"allowed": True, "reason": "x"}})) as it:
        await it.model.fill(prompt(), Verdict)
        body = it.messages[0].body
    assert body["output_config"]["format"]["schema"]["additionalProperties"] is False
    assert len(body["system"]) == 1


async def test_a_redirect_is_not_followed_with_the_key() -> None:
    seen: list[Asked] = []
    async with scripted(saying({"text": "Yes."}), seen=seen) as elsewhere:
        away = {"status": 307, "headers": {"location": f"{elsewhere}/v1/messages"}}
        async with asking(saying(away)) as it:
            with pytest.raises(ModelMisconfiguredError):
                await it.model.converse(prompt())
    assert seen == []
