"""Requests out of a sandbox, most of them hostile."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.data import wire

KEY = "k"
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)


def refused(message: dict[str, Any]) -> str:
    with pytest.raises(wire.RefusedError) as caught:
        wire.parse(message)
    return caught.value.code


@pytest.mark.parametrize(
    ("message", "request_"),
    [
        ({"op": "get", "key": KEY}, wire.Get(KEY)),
        ({"op": "set", "key": KEY, "value": None}, wire.Set(KEY, "null", None, False, None)),
        (
            {"op": "set", "key": KEY, "value": [1], "ttl": 5, "if_absent": True},
            wire.Set(KEY, "[1]", 5.0, True, None),
        ),
        (
            {"op": "set", "key": KEY, "value": 1, "if_equals": None},
            wire.Set(KEY, "1", None, False, "null"),
        ),
        ({"op": "delete", "key": KEY}, wire.Delete(KEY)),
        ({"op": "increment", "key": KEY}, wire.Increment(KEY, 1, None)),
        ({"op": "increment", "key": KEY, "by": -3, "ttl": 1.5}, wire.Increment(KEY, -3, 1.5)),
        ({"op": "list"}, wire.List("", "", 100, False)),
        (
            {"op": "list", "prefix": "a", "after": "b", "limit": 1000, "with_values": True},
            wire.List("a", "b", 1000, True),
        ),
    ],
)
def test_requests_are_understood(message: dict[str, Any], request_: wire.Request) -> None:
    assert wire.parse(message) == request_


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ({}, "unknown_operation"),
        ({"op": "drop"}, "unknown_operation"),
        ({"op": ["get"]}, "unknown_operation"),
        ({"op": "get"}, "invalid_key"),
        ({"op": "get", "key": ""}, "invalid_key"),
        ({"op": "get", "key": 5}, "bad_request"),
        ({"op": "get", "key": "a\0b"}, "invalid_key"),
        ({"op": "get", "key": "\ud800"}, "invalid_key"),
        ({"op": "get", "key": "é" * 257}, "invalid_key"),
        ({"op": "get", "key": KEY, "api_id": "another"}, "bad_request"),
        ({"op": "set", "key": KEY}, "bad_request"),
        ({"op": "set", "key": KEY, "value": float("inf")}, "bad_request"),
        ({"op": "set", "key": KEY, "value": 1, "if_absent": 1}, "bad_request"),
        ({"op": "set", "key": KEY, "value": "x" * 256 * 1024}, "value_too_large"),
        ({"op": "set", "key": KEY, "value": "é" * 131_072}, "value_too_large"),
        *(
            ({"op": "set", "key": KEY, "value": 1, "ttl": ttl}, "bad_request")
            for ttl in (0, -1, True, "5", 1e12, float("nan"), 10**400)
        ),
        *(
            ({"op": "increment", "key": KEY, "by": by}, "bad_request")
            for by in (1.5, True, "1", None, 2**63, -(2**63) - 1)
        ),
        *(
            ({"op": "list", "limit": limit}, "bad_request")
            for limit in (0, -1, 1001, True, 2.0, "1", None)
        ),
        ({"op": "list", "prefix": 1}, "bad_request"),
        ({"op": "list", "after": "\0"}, "invalid_key"),
        ({"op": "list", "with_values": "yes"}, "bad_request"),
    ],
)
def test_nonsense_is_refused(message: dict[str, Any], code: str) -> None:
    assert refused(message) == code


@pytest.mark.parametrize("depth", [65, 900])
def test_deep_values_are_refused(depth: int) -> None:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    assert refused({"op": "set", "key": KEY, "value": value}) == "bad_request"


def test_a_value_may_be_as_deep_as_is_said() -> None:
    value: Any = 1
    for _ in range(wire.MAX_DEPTH):
        value = {"a": value}
    assert isinstance(wire.parse({"op": "set", "key": KEY, "value": value}), wire.Set)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"1",
        b"{}",
        b'{"id": "1"}',
        b'{"id": true}',
        b'{"id": 1.0}',
        b'{"id": -1}',
        b'{"id": 9223372036854775808}',
        b'{"id": 1, "value": NaN}',
        b'{"id": 1, "value": -Infinity}',
        b'{"id": 1, "value": ' + b"9" * 5000 + b"}",
        b"\xff\xfe",
        b'{"id": 1, "key": "\xed\xa0\x80"}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
    ],
)
def test_what_is_no_request_is_told_apart(body: bytes) -> None:
    with pytest.raises(wire.BadFrameError):
        wire.decode(body)


@pytest.mark.parametrize("length", [0, wire.MAX_REQUEST + 1, 2**32 - 1])
def test_lengths_that_are_refused(length: int) -> None:
    with pytest.raises(wire.BadFrameError):
        wire.body_length(wire.HEADER.pack(length))


@given(st.dictionaries(st.sampled_from(["op", "key", "value", "by", "ttl", "limit"]), ANYTHING))
def test_whatever_comes_is_parsed_or_refused(message: dict[str, Any]) -> None:
    with contextlib.suppress(wire.RefusedError):
        wire.parse({"op": "set", **message})


@given(st.binary(max_size=200))
def test_whatever_bytes_come_are_a_request_or_a_bad_frame(body: bytes) -> None:
    try:
        number, _ = wire.decode(body)
    except wire.BadFrameError:
        return
    assert number >= 0


def test_answers_are_frames() -> None:
    frame = wire.encode({"id": 1, "ok": "é\ud800"})
    assert wire.body_length(frame[:4]) == len(frame) - 4
    assert json.loads(frame[4:]) == {"id": 1, "ok": "é\ud800"}
