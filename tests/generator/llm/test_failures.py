"""Errors of endpoints that are not as careful as the real one."""

from typing import Any

import anthropic
import httpx2
import pytest

from generator.llm.base import ModelMisconfiguredError, ModelUnavailableError
from generator.llm.failures import LONGEST, asked_pause, failure
from generator.llm.gather import ToldError

REQUEST = httpx2.Request("POST", "http://127.0.0.1/v1/messages")


def refused(status: int, body: object, **headers: str) -> anthropic.APIStatusError:
    response = httpx2.Response(status, request=REQUEST, headers=headers)
    return anthropic.APIStatusError("no", response=response, body=body)


@pytest.mark.parametrize(
    "body",
    [
        None,
        "text",
        [],
        {"error": "model not found"},
        {"error": {"message": {"a": 1}}},
        {"error": {"message": ["\x00"]}},
        {"error": {"message": "x" * 9_999}},
    ],
)
def test_any_body_is_an_error_in_words(body: Any) -> None:
    error = failure(refused(404, body)).error
    assert isinstance(error, ModelMisconfiguredError)
    assert "Check the model's name" in error.reason
    assert error.reason.isprintable()
    assert len(error.reason) < LONGEST + 200


@pytest.mark.parametrize("status", [418, 422, 431, 307])
def test_an_odd_status_is_not_tried_again(status: int) -> None:
    failed = failure(refused(status, None))
    assert not failed.again
    assert isinstance(failed.error, ModelMisconfiguredError)


def test_an_error_of_a_kind_that_is_not_known_is_tried_again() -> None:
    failed = failure(ToldError("new_error", "?"))
    assert failed.again
    assert isinstance(failed.error, ModelUnavailableError)


@pytest.mark.parametrize(
    "said", ["", "soon", "-1", "nan", "inf", "1e9", "Wed, 21 Oct 2026 07:28:00"]
)
def test_a_pause_that_makes_no_sense_is_none(said: str) -> None:
    assert asked_pause({"retry-after": said}) is None
