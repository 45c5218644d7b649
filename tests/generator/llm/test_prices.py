"""Money: whole nano-USD, tiers, and what is assumed of models that no row knows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generator.llm.base import Usage
from generator.llm.capabilities import table
from generator.llm.prices import OwnPrice, cost, most, price_of, rows

COUNT = st.integers(min_value=0, max_value=900_000)


def test_each_class_of_tokens_has_its_price() -> None:
    price = price_of("claude-opus-5-5", "anthropic")
    assert cost(price, Usage(1, 0, 0, 0, 0)) == 4_000
    assert cost(price, Usage(0, 1, 0, 0, 0)) == 20_000
    assert cost(price, Usage(0, 0, 1, 0, 0)) == 5_000
    assert cost(price, Usage(0, 0, 0, 1, 0)) == 8_000
    assert cost(price, Usage(0, 0, 0, 0, 1)) == 200


def test_a_million_tokens_cost_what_the_page_says() -> None:
    usage = Usage(input=1_000_000, output=1_000_000)
    assert cost(price_of("claude-sonnet-5-5", "anthropic"), usage) == 12 * 10**9


def test_a_long_prompt_is_paid_in_the_higher_tier_whole() -> None:
    price = price_of("claude-haiku-5-5", "anthropic")
    assert cost(price, Usage(input=100_000)) == 100_000 * 100
    assert cost(price, Usage(input=100_001)) == 100_001 * 500


def test_what_came_from_a_cache_counts_for_the_length_of_the_prompt() -> None:
    price = price_of("claude-haiku-5-5", "anthropic")
    assert cost(price, Usage(input=1, output=1, cache_read=100_000)) == 500 + 2_500 + 100_000 * 50


def test_the_row_of_a_dated_name_is_that_of_the_model() -> None:
    assert price_of("claude-haiku-4-5-20251001", "anthropic").id == "claude-haiku-4-5@2025-10-15"


def test_a_model_that_no_row_knows_is_taken_for_the_dearest() -> None:
    price = price_of("claude-of-next-year", "anthropic")
    assert price.note
    assert price.tiers == rows()["claude-fable-5-1@2026-09-01"].tiers


def test_a_compatible_endpoint_costs_nothing_and_says_so() -> None:
    price = price_of("llama", "compatible")
    assert cost(price, Usage(input=10**6, output=10**6)) == 0
    assert "no price is set" in price.note


def test_an_operator_sets_what_a_compatible_endpoint_costs() -> None:
    price = price_of("llama", "compatible", OwnPrice(input=3, output=7))
    assert cost(price, Usage(input=10, output=10)) == 100
    assert price.id == "own:3/7"


def test_every_price_is_a_whole_number() -> None:
    prices = [v for row in table()["prices"] for tier in row["tiers"] for v in tier.values()]
    assert all(type(price) is int for price in prices)


@pytest.mark.parametrize("model", [row["name"] for row in table()["models"]])
@given(total=COUNT, written=COUNT, read=COUNT, output=COUNT)
def test_no_call_costs_more_than_was_set_aside(
    model: str, total: int, written: int, read: int, output: int
) -> None:
    price = price_of(model, "anthropic")
    prompt = total + written + read
    usage = Usage(input=total, output=output, cache_write_5m=written, cache_read=read)
    assert cost(price, usage) <= most(price, prompt, output)
