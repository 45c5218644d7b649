"""What settings say about making APIs out of words."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from gateway.operations.generation import Generation
from gateway.settings import Settings
from gateway.wiring_generate import generation_of, model_probe


def settings(tmp_path: Path, **changed: object) -> Settings:
    """Nothing from the environment of whoever runs the tests."""
    values = {"anthropic_api_key": None, "anthropic_base_url": None, **changed}
    return Settings.model_validate({"sandgate_data_dir": tmp_path, **values})


def test_caps_are_whole_nano_usd(tmp_path: Path) -> None:
    chosen = settings(tmp_path, generation_job_usd="0.000000001", generation_day_usd="1.5")
    caps = generation_of(chosen).caps
    assert caps == {"job": 1, "user_day": 10 * 10**9, "day": 1_500_000_000}


def test_without_a_key_there_is_no_model_and_it_says_what_to_set(tmp_path: Path) -> None:
    found = generation_of(settings(tmp_path))
    assert found.model == ""
    assert "ANTHROPIC_API_KEY" in found.missing


@pytest.mark.parametrize("key", ["", "short"])
def test_half_a_key_is_a_mistake_never_off(tmp_path: Path, key: str) -> None:
    with pytest.raises(ValidationError):
        settings(tmp_path, anthropic_api_key=key)


def test_a_key_is_not_shown(tmp_path: Path) -> None:
    assert "very-secret" not in repr(settings(tmp_path, anthropic_api_key="very-secret"))


async def test_ready_tells_of_the_model_and_never_fails_for_it() -> None:
    without, with_one = Generation(), Generation(model="a-model")
    told = [await model_probe(one)() for one in (without, with_one)]
    assert [part.ok for part in told] == [True, True]
    assert "No language model" in told[0].reason
    assert "a-model" in told[1].reason
