"""An example is sent as it says, and its answer compared part by part."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generator.acceptance import body_of, keep, mismatch, request_of, unlike
from generator.calls import Reply
from tests.support.gate_contracts import contract

JSON = (("content-type", "application/json"),)


def test_kept_values_are_filled_in() -> None:
    read = contract().operations[1]
    request = request_of(read, read.examples[0], {"note": "a/b ?"})
    assert request.target == "/notes/a%2Fb%20%3F"


def test_a_query_is_encoded() -> None:
    shout = contract().operations[2]
    assert request_of(shout, shout.examples[0], {}).target == "/shout?text=hey&times=2"


def test_values_are_kept_by_pointer() -> None:
    add = contract().operations[0]
    assert keep(add.examples[0], Reply(201, JSON, b'{"id": 7}')) == {"note": 7}
    with pytest.raises(KeyError):
        keep(add.examples[0], Reply(201, JSON, b'{"other": 7}'))


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Reply(201, JSON, b'{"id": "1", "text": "milk", "size": 4, "more": 1}'), ""),
        (Reply(200, JSON, b"{}"), 'expected status 201, got 200, and said "{}"'),
        (Reply(201, JSON, b"nope"), "expected JSON, but it is no JSON"),
        (Reply(201, JSON, b'{"text": "tea", "size": 4}'), 'at /text: expected "milk", got "tea"'),
        (
            Reply(201, JSON, b'{"text": "milk", "size": 4}'),
            "does not hold to the response's schema",
        ),
        (Reply(201, JSON, b'{"text": "milk"}'), '"size" is missing'),
    ],
)
def test_a_mismatch_has_a_reason(reply: Reply, reason: str) -> None:
    add = contract().operations[0]
    why = mismatch(add, add.examples[0], reply, {})
    assert why == reason if not reason else reason in why


@pytest.mark.parametrize(
    ("expected", "actual", "fits"),
    [
        ({"a": 1}, {"a": 1, "b": 2}, True),
        ({"a": {"b": 1}}, {"a": {"b": 1, "c": 2}}, True),
        ([{"a": 1}], [{"a": 1, "b": 2}], True),
        ([1, 2], [1, 2, 3], False),
        ([1, 2], [2, 1], False),
        (1, 1.0, True),
        (0.3, 0.1 + 0.2, True),
        (1, True, False),
        (0, False, False),
        (10**400, 10**400 + 1, False),
        (10**400, 1.5, False),
        (None, 0, False),
        ("1", 1, False),
        ({}, [], False),
    ],
)
def test_parts_are_compared(expected: Any, actual: Any, fits: bool) -> None:
    assert (unlike(expected, actual) == "") is fits


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(VALUES)
def test_everything_is_like_itself(value: Any) -> None:
    assert unlike(value, value) == ""


def test_bodies_are_encoded_by_their_type() -> None:
    assert body_of("text/csv", "a,b")[0] == b"a,b"
    assert body_of("image/png", {"base64": "AQI="})[0] == b"\x01\x02"
    assert body_of("application/x-www-form-urlencoded", {"a": "b c", "d": 1})[0] == b"a=b+c&d=1"
    content, media_type = body_of(
        "multipart/form-data", {"f": {"filename": 'a"\r\nb', "text": "x"}}
    )
    assert b'filename="a%22%0D%0Ab"' in content
    assert content.count(b"\r\n\r\nx\r\n") == 1
    assert media_type.startswith("multipart/form-data; boundary=")
