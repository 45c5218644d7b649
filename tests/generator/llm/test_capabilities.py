"""The rows hold together, and an unknown name gets the row that asks for the least."""

from dataclasses import fields
from typing import get_args

import pytest

from generator.llm.base import Purpose
from generator.llm.capabilities import Capabilities, capabilities, table
from generator.llm.prices import rows
from generator.llm.settings import EFFORTS, MIDDLE, MODELS, SMALL, ModelSettings, is_anthropic

NAMES = [row["name"] for row in table()["models"]]
SWITCHES = [each.name for each in fields(Capabilities) if each.type is bool]


def test_the_table_says_when_it_was_checked_and_where() -> None:
    assert table()["checked"] == "2026-11-22"
    assert table()["source"].startswith("https://")


@pytest.mark.parametrize("name", NAMES)
def test_a_row_names_a_price_and_a_stronger_model_that_exist(name: str) -> None:
    row = capabilities(name, "anthropic")
    assert row.price in rows()
    assert row.stronger in {"", *NAMES}


def test_current_models_refuse_forced_tools_prefill_and_sampling() -> None:
    for name in (SMALL, MIDDLE, "claude-opus-5-5"):
        row = capabilities(name, "anthropic")
        assert not any((row.forced_tool, row.prefill, row.sampling))


def test_an_unknown_model_of_anthropics_is_asked_for_nothing_special() -> None:
    row = capabilities("claude-of-next-year", "anthropic")
    assert not any(getattr(row, switch) for switch in SWITCHES if switch != "count_tokens")


def test_a_known_name_proves_nothing_at_a_compatible_endpoint() -> None:
    row = capabilities("claude-sonnet-5-5", "compatible")
    assert row.name == "claude-sonnet-5-5"
    assert not any(getattr(row, switch) for switch in SWITCHES)


@pytest.mark.parametrize("purpose", get_args(Purpose))
def test_every_purpose_has_a_model_with_a_row_and_an_effort(purpose: Purpose) -> None:
    assert MODELS[purpose] in NAMES
    assert EFFORTS[purpose]


def test_small_work_goes_to_the_small_model_and_code_to_the_middle_one() -> None:
    settings = ModelSettings()
    assert settings.model_for("screen") == SMALL
    assert settings.model_for("code") == MIDDLE


def test_one_model_for_all_and_another_for_one_purpose() -> None:
    settings = ModelSettings(model="one", models={"code": "two"})
    assert (settings.model_for("screen"), settings.model_for("code")) == ("one", "two")


@pytest.mark.parametrize(
    ("address", "own"),
    [
        ("https://api.anthropic.com", True),
        ("https://api.anthropic.com/", True),
        ("http://api.anthropic.com", False),
        ("https://anthropic.com.example.org", False),
        ("https://notanthropic.com", False),
        ("http://127.0.0.1:11434", False),
        ("", False),
    ],
)
def test_only_anthropics_own_address_over_tls_is_anthropic(address: str, own: bool) -> None:
    assert is_anthropic(address) is own


def test_what_is_missing_is_said_in_words_of_settings() -> None:
    assert "ANTHROPIC_API_KEY" in ModelSettings().missing
    assert "which model" in ModelSettings(base_url="http://localhost:11434").missing
    assert ModelSettings(api_key="k").missing == ""
    assert ModelSettings(base_url="http://localhost:11434", model="qwen").missing == ""


def test_keys_are_not_shown() -> None:
    assert "secret-key" not in repr(ModelSettings(api_key="secret-key", user_salt="secret-key"))
