"""What can go wrong with a call, as an error of ours and the answer to: is another try worth it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import anthropic
import httpx2

from generator.llm.base import (
    CutOffError,
    ModelError,
    ModelMisconfiguredError,
    ModelUnavailableError,
    RefusedError,
    UnusableAnswerError,
)
from generator.llm.gather import BrokenStreamError, ToldError

LONGEST = 300
#: Errors that a stream may tell of, as the status they would have been.
TOLD: Final[Mapping[str, int]] = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
#: What to set, for the operator.
SET: Final[Mapping[int, str]] = {
    400: "The model does not accept the request. Check the model's name and ANTHROPIC_BASE_URL.",
    401: "The model's key is not accepted. Set ANTHROPIC_API_KEY to a valid key.",
    402: "The account of ANTHROPIC_API_KEY has no credit. Add credit or set another key.",
    403: "The key may not use this model. Set another model, or a key that may.",
    404: "The model or the address does not exist. Check the model's name and ANTHROPIC_BASE_URL.",
}
FAILED: Final = (
    anthropic.AnthropicError,
    httpx2.HTTPError,
    BrokenStreamError,
    ToldError,
    TimeoutError,
    OSError,
)
STOPS: Final = frozenset({"end_turn", "stop_sequence", "tool_use", "pause_turn"})


@dataclass(frozen=True, slots=True)
class Failure:
    """One failed try."""

    error: ModelError
    again: bool = False
    after: float | None = None  # seconds that the server asks for


def failure(caught: BaseException, key: str = "") -> Failure:
    """What to make of an exception of the library, the network or the stream."""
    if isinstance(caught, anthropic.APIStatusError):
        status = caught.status_code
        # what it says is typed as text, and checked by nobody
        error = _of_status(status, _clean(str(caught.api_message or ""), key))
        return Failure(error, _again(status), asked_pause(caught.response.headers))
    if isinstance(caught, ToldError):
        status = TOLD.get(caught.kind, 500)
        return Failure(_of_status(status, _clean(caught.text, key)), _again(status))
    if isinstance(caught, TimeoutError | anthropic.APITimeoutError | httpx2.TimeoutException):
        return Failure(ModelUnavailableError("The language model did not answer in time."), True)
    if isinstance(caught, BrokenStreamError):
        reason = "The language model's answer broke off or made no sense."
        return Failure(ModelUnavailableError(reason), True)
    return Failure(ModelUnavailableError("The language model cannot be reached."), True)


def _again(status: int) -> bool:
    return status in {408, 409, 429} or status >= 500


def _of_status(status: int, text: str) -> ModelError:
    if status == 413 or (status == 400 and "too long" in text):
        return CutOffError("The request is longer than the model can read.")
    if status in SET or not _again(status):
        said = f" It says: {text}" if text else ""
        return ModelMisconfiguredError(SET.get(status, SET[400]) + said)
    if status == 429:
        return ModelUnavailableError("The language model takes no more requests right now.")
    return ModelUnavailableError("The language model is overloaded or out of order.")


def _clean(text: str, key: str) -> str:
    """One short line that shows no key, whatever the other side wrote."""
    shown = text.replace(key, "…") if key else text
    printable = "".join(each if each.isprintable() else " " for each in shown)
    return " ".join(printable.split())[:LONGEST]


def asked_pause(headers: Mapping[str, str]) -> float | None:
    """Seconds of `retry-after-ms` or `retry-after`; dates are not read."""
    for name, unit in (("retry-after-ms", 1000), ("retry-after", 1)):
        try:
            seconds = float(headers.get(name, "")) / unit
        except ValueError:
            continue
        if 0 <= seconds < 86_400:
            return seconds
    return None


def of_stop(stop: str, category: str) -> ModelError | None:
    """The error that a stop reason is, if it is one."""
    if stop in STOPS:
        return None
    if stop == "max_tokens":
        return CutOffError("The answer reached its length limit.")
    if stop == "model_context_window_exceeded":
        return CutOffError("The model's window is full.")
    if stop == "refusal":
        kind = f" ({_clean(category, '')})" if category else ""
        return RefusedError(f"The language model declines this request{kind}.")
    return UnusableAnswerError("The model stopped for a reason that is not known.")
