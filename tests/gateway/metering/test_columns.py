"""Columns hold exactly what lines say; what is not plainly the recorder's is not in them."""

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.limits.types import Limit, Window
from gateway.metering.columns import columns
from gateway.metering.recorder import Grant, line_of

IDS = ("11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222")
NUMBERS = ("p_at", "p_version", "p_status_code", "p_price_nano_usd", "p_response_time_us",
           "p_request_size_bytes", "p_response_size_bytes")  # fmt: skip


def grant(number: int = 0, windows: tuple[Window, ...] = (Window.HOUR,)) -> Grant:
    """Of one of two keys."""
    limits = tuple(Limit(f"key:{IDS[number]}", window, 10) for window in windows)
    return Grant(IDS[0], IDS[1], IDS[0], IDS[number], limits)


def line(made: Grant, path: str = "/", error: str | None = None, charged: int = 0) -> bytes:
    """As the recorder writes it."""
    return line_of(made, "r1", 1795358012.25, 3, "GET", path, 200, error, 0.5, 6, 7, charged)


def calls_of(arguments: dict[str, Any]) -> list[dict[str, Any]]:
    """The calls that Postgres makes of these arrays."""
    made: list[dict[str, Any]] = [
        dict(arguments["p_grants"][number - 1]) for number in arguments["p_grant"]
    ]
    for name, literal in arguments.items():
        if name in ("p_grants", "p_grant"):
            continue
        # elements are words and quoted texts without escapes, so commas in texts are all there is
        items = re.findall(r'"([^"]*)"|([^",{}]+)', literal[1:-1])
        for call, (text, word) in zip(made, items, strict=True):
            if word == "null" or name in NUMBERS:
                call[name[2:]] = None if word == "null" else json.loads(word)
            else:
                call[name[2:]] = text
    return made


def expected(written: bytes) -> dict[str, Any]:
    """What the line says, a price of none spelled out."""
    return {"price_nano_usd": None, **json.loads(written)}


def test_calls_are_what_the_lines_say() -> None:
    lines = [
        line(grant(0)),
        line(grant(1, (Window.MINUTE, Window.DAY)), "/a,b{c}null", "sandbox_died", 5),
        line(grant(0, ()), "/'"),
        line(grant(0), error="null"),
    ]
    arguments, others = columns(lines)
    assert arguments is not None
    assert calls_of(arguments) == [expected(each) for each in lines]
    assert others == []


def test_what_calls_have_in_common_is_sent_once() -> None:
    arguments, _ = columns([line(grant(number)) for number in (0, 1, 0, 0)])
    assert arguments is not None
    assert arguments["p_grant"] == [1, 2, 1, 1]
    assert [each["key_id"] for each in arguments["p_grants"]] == list(IDS)


@given(
    path=st.text(max_size=20),
    error=st.none() | st.text(max_size=8),
    seconds=st.floats(0, 1e6),
    at=st.floats(0, 1e11),
    charged=st.integers(0, 2**63 - 1),
)
def test_a_line_is_in_the_columns_as_it_is_or_among_the_others(
    path: str, error: str | None, seconds: float, at: float, charged: int
) -> None:
    """Whatever the recorder is given."""
    written = line_of(grant(), "r1", at, 3, "GET", path, 200, error, seconds, 6, 7, charged)
    arguments, others = columns([written])
    if arguments is None:
        assert others == [written]
    else:
        assert (calls_of(arguments), others) == ([expected(written)], [])


@pytest.mark.parametrize("text", ['/"', "/\\", "/\x00", "/\x1f", "/\x7f", "/é", "/\ud800", "/\n"])
def test_text_that_is_escaped_is_read_with_care(text: str) -> None:
    assert columns([line(grant(), text)]) == (None, [line(grant(), text)])


GOOD = line(grant())
ODD = {
    "nothing": b"",
    "no line feed": GOOD[:-1],
    "half of it": GOOD[:100],
    "something before": b" " + GOOD,
    "two in one": GOOD[:-1] + GOOD,
    "a space": GOOD.replace(b",", b", ", 1),
    "a text for a number": GOOD.replace(b'"version":3', b'"version":"3"'),
    "a number that is none": GOOD.replace(b'"version":3', b'"version":03'),
    "true": GOOD.replace(b'"version":3', b'"version":true'),
    "below zero": GOOD.replace(b'"version":3', b'"version":-3'),
    "without end": GOOD.replace(b'"version":3', b'"version":' + b"3" * 20),
    "time without end": GOOD.replace(b"1795358012.25", b"1e999"),
    "one less": GOOD.replace(b'"version":3,', b""),
    "one more": GOOD.replace(b'"version":3,', b'"version":3,"more":1,'),
    "limits that are none": GOOD.replace(b'[["key', b'["key'),
    "an odd limit": GOOD.replace(b',"hour"]', b"]"),
    "raw bytes": GOOD.replace(b'"/"', b'"/\xff"'),
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_what_the_recorder_would_not_write_is_told_apart(odd: bytes) -> None:
    arguments, others = columns([GOOD, odd, GOOD])
    assert arguments is not None
    assert len(arguments["p_grant"]) == 2
    assert others == [odd]
