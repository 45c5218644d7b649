"""Amounts are written and read without rounding."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.cli.amounts import dollars, nano_of


@pytest.mark.parametrize(
    ("nano", "text"),
    [
        (0, "0.000000000 USD"),
        (1, "0.000000001 USD"),
        (-1_500_000_000, "-1.500000000 USD"),
        (10**15, "1000000.000000000 USD"),
    ],
)
def test_all_nine_digits_are_shown(nano: int, text: str) -> None:
    assert dollars(nano) == text


@given(nano=st.integers(-(10**15), 10**15))
def test_what_is_shown_is_read_again(nano: int) -> None:
    assert nano_of(dollars(nano).removesuffix(" USD")) == nano


@pytest.mark.parametrize("text", ["", "1e3", "1,5", ".5", "1.0000000001", "١", "--1", "12345678"])
def test_what_is_no_amount(text: str) -> None:
    assert nano_of(text) is None
