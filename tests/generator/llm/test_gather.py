"""Whatever events come, they are an answer or a broken stream, and what came is paid."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generator.llm.base import Usage
from generator.llm.gather import MOST_CHARACTERS, BrokenStreamError, Gathered, ToldError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
KINDS = ("message_start", "content_block_start", "content_block_delta", "content_block_stop")
TYPES = st.sampled_from((*KINDS, "message_delta", "message_stop", "error", "ping", "new"))
PARTS = st.sampled_from(
    ("index", "message", "content_block", "delta", "usage", "error", "type", "text")
)
EVENTS = st.builds(
    lambda kind, rest: {**rest, "type": kind}, TYPES, st.dictionaries(PARTS, JSON, max_size=5)
)


@given(st.lists(EVENTS, max_size=6))
def test_any_events_are_taken_or_break_the_stream(events: list[dict[str, Any]]) -> None:
    gathered = Gathered()
    with suppress(BrokenStreamError, ToldError):
        for event in events:
            gathered.take("any", json.dumps(event))
        gathered.whole()
    assert gathered.usage.output >= 0


@given(st.text())
def test_any_data_is_taken_or_breaks_the_stream(data: str) -> None:
    with suppress(BrokenStreamError):
        assert Gathered().take("message_start", data) == ""


def begun(kind: str = "text") -> Gathered:
    gathered = Gathered()
    usage = {"input_tokens": 7, "output_tokens": 1}
    gathered.take("", json.dumps({"type": "message_start", "message": {"usage": usage}}))
    block = {"type": kind, "text": "", "id": "t", "name": "n", "input": {}}
    start = {"type": "content_block_start", "index": 0, "content_block": block}
    gathered.take("", json.dumps(start))
    return gathered


def delta(text: str) -> str:
    told = {"type": "text_delta", "text": text}
    return json.dumps({"type": "content_block_delta", "index": 0, "delta": told})


def test_what_came_before_a_break_counts_even_when_nobody_counted_it() -> None:
    gathered = begun()
    gathered.take("", delta("x" * 31))
    assert gathered.usage == Usage(input=7, output=11)


def test_the_services_count_stands_once_the_answer_is_whole() -> None:
    gathered = begun()
    gathered.take("", delta("x" * 31))
    end = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}}
    gathered.take("", json.dumps({**end, "usage": {"output_tokens": 5}}))
    assert gathered.usage == Usage(input=7, output=5)


def test_an_answer_without_an_end_is_broken_off() -> None:
    gathered = begun()
    gathered.take("", delta("x" * MOST_CHARACTERS))
    with pytest.raises(BrokenStreamError):
        gathered.take("", delta("x"))


def test_an_error_in_the_stream_is_told() -> None:
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}
    with pytest.raises(ToldError) as caught:
        Gathered().take("error", json.dumps(error))
    assert (caught.value.kind, caught.value.text) == ("overloaded_error", "busy")
