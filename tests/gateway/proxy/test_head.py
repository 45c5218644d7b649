"""Reading the head of an answer holds for any bytes. (What is refused: test_hostile_answers.)"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.proxy.errors import ApiBadResponseError
from gateway.proxy.head import read_answer


@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_are_read_or_refused(noise: bytes, is_head: bool) -> None:
    """Nothing else is raised."""
    for raw in (
        noise,
        b"HTTP/1.1 200 OK\r\n" + noise,
        b"HTTP/1.1 200 OK\r\n" + noise + b"\r\n\r\n",
    ):
        try:
            answer = read_answer(raw, is_head=is_head)
        except ApiBadResponseError:
            continue
        assert answer is None or 200 <= answer.status <= 599


@given(
    st.lists(
        st.tuples(
            st.from_regex(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,20}", fullmatch=True),
            st.from_regex(rb"([!-~\x80-\xff]([ \t!-~\x80-\xff]{0,20}[!-~])?)?", fullmatch=True),
        ),
        max_size=20,
    )
)
def test_no_value_that_passes_can_hold_a_line_break(fields: list[tuple[bytes, bytes]]) -> None:
    """So no answer can be split in two on its way to the caller."""
    lines = b"".join(b"%b: %b\r\n" % field for field in fields)
    try:
        answer = read_answer(b"HTTP/1.1 200 OK\r\n" + lines + b"\r\n", is_head=True)
    except ApiBadResponseError:
        return
    assert answer is not None
    sent = [(name.lower(), value) for name, value in fields]
    for field in answer.headers:
        assert field in sent
        assert b"\r" not in field[1]
        assert b"\n" not in field[1]


def test_a_head_made_to_be_slow_is_refused_in_a_single_pass() -> None:
    """64 KB that almost match; trying every way to match them would not end."""
    raw = b"HTTP/1.1 200 OK\r\n" + b"a:b\r\n" * 12_000 + b"a" * 4_000 + b"\r\n\r\n"
    with pytest.raises(ApiBadResponseError):
        read_answer(raw, is_head=False)
