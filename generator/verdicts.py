"""What must not be in any answer, whatever was sent. Pure."""

import re
from dataclasses import dataclass

from generator import abuse_values as values
from generator.abuse import Attempt
from generator.calls import Reply
from generator.types import Severity

_TRACE = re.compile(r"Traceback \(most recent call last\)|File \"[^\"\n]{1,300}\", line \d+")
_FILE = re.compile(r"root:[^:\n]{0,20}:0:0:")
_MARKUP = frozenset({"text/html", "application/xhtml+xml", "image/svg+xml", "text/xml", ""})
_UNREACHED = frozenset({502, 503, 504})


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why an answer is a finding."""

    rule: str
    message: str
    severity: Severity = Severity.ERROR


def always(reply: Reply, *, reaches_out: bool = False) -> Verdict | None:
    """What holds for every call."""
    text = reply.text
    if _TRACE.search(text):
        return Verdict("stack_trace_in_answer", "The answer shows a traceback.")
    if reply.status >= 500 and not (reaches_out and reply.status in _UNREACHED):
        return Verdict("server_error", f"It answers {reply.status}.")
    if _FILE.search(text):
        return Verdict("file_content_in_answer", "The answer holds a file of the system.")
    return None


def of_attempt(attempt: Attempt, reply: Reply, usual: str) -> Verdict | None:
    """What holds for an attempt; `usual` is the answer when nothing was spoilt."""
    general = always(reply, reaches_out=attempt.reaches_out)
    if general is not None:
        return general
    answered = reply.status < 300
    if attempt.must_not_exist and answered:
        return Verdict("method_not_refused", "A method that the contract does not have works.")
    if attempt.must_refuse and answered:
        return Verdict(
            "bad_input_accepted", f"It answers {reply.status}; it must be refused (422)."
        )
    return _reflected(attempt, reply, usual)


def _reflected(attempt: Attempt, reply: Reply, usual: str) -> Verdict | None:
    text = reply.text
    if values.CANARY in text or any(values.CANARY in value for _, value in reply.headers):
        return Verdict("secret_in_answer", "The answer repeats the caller's credentials.")
    if "<script>" in attempt.payload and reply.media_type in _MARKUP and "<script>alert(1)" in text:
        return Verdict("unescaped_echo", "The answer is markup with a script from the request.")
    worked_out = values.PRODUCT in text and values.PRODUCT not in usual
    if "91*97" in attempt.payload and worked_out:
        return Verdict("input_is_executed", "It has worked out an expression from the request.")
    if "\n" in attempt.payload and any(name == "set-cookie" for name, _ in reply.headers):
        return Verdict("header_injection", "A header of the answer comes from the request.")
    return None
