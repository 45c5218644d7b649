"""Secret values do not leave in text, however the app writes them."""

import base64
import json
from urllib.parse import quote, quote_plus, urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.runner.redaction import MARK, Redactor

SECRET = 'p/a+s "wörd"\\=%&\t1'
secrets = st.text(st.characters(exclude_categories=["Cs"]), min_size=6, max_size=40)


def redact(text: str, *values: str) -> str:
    return Redactor(values or (SECRET,)).clean(text)


@pytest.mark.parametrize(
    "written",
    [
        SECRET,
        json.dumps({"key": SECRET}),
        json.dumps({"key": SECRET}, ensure_ascii=False),
        repr({"key": SECRET}),
        repr(SECRET.encode()),
        quote(SECRET),
        quote(SECRET, safe=""),
        quote_plus(SECRET),
        quote(SECRET, safe="").lower(),
        urlencode({"key": SECRET}),
        SECRET.encode().hex(),
        base64.b64encode(SECRET.encode()).decode(),
        base64.urlsafe_b64encode(SECRET.encode()).decode(),
    ],
)
def test_every_spelling_is_found(written: str) -> None:
    seen = redact(f"before {written} after")
    assert MARK in seen
    assert seen.startswith("before ")
    assert seen.endswith(" after")
    assert "s1" not in seen


@settings(deadline=None)
@given(secrets, st.binary(max_size=5), st.binary(max_size=5))
def test_base64_of_a_text_around_the_value_is_found(
    secret: str, before: bytes, after: bytes
) -> None:
    written = base64.b64encode(before + secret.encode() + after).decode()
    assert MARK in redact(written, secret)


@settings(deadline=None)
@given(secrets, st.text(max_size=20), st.text(max_size=20))
def test_the_value_itself_never_passes(secret: str, before: str, after: str) -> None:
    assert secret not in redact(before + secret + after, secret).replace(MARK, "\ud800")


def test_the_longer_of_two_values_goes_whole() -> None:
    assert redact("password1234", "password", "password1234") == MARK


def test_short_values_and_no_values_change_nothing() -> None:
    assert Redactor(["short", ""]).clean("short") == "short"
    assert Redactor([]).clean("anything") == "anything"


def test_lines_of_a_key_file_are_found_one_by_one() -> None:
    key = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0B\nAQEFAASCBKcw\n}"
    assert redact("MIIEvQIBADANBgkqhkiG9w0B", key) == MARK
    assert redact("-----BEGIN PRIVATE KEY-----", key) != MARK
    assert redact("}", key) == "}"
    assert redact(json.dumps(key), key) == f'"{MARK}"'


def test_a_message_is_cleaned_in_all_its_texts() -> None:
    message = {"type": "failed", "reason": f"no {SECRET}", "line": 3, "traceback": SECRET}
    assert Redactor([SECRET]).clean_message(message) == {
        "type": "failed",
        "reason": f"no {MARK}",
        "line": 3,
        "traceback": MARK,
    }


def test_values_are_texts_and_no_patterns() -> None:
    assert redact("abcdef", "......") == "abcdef"
    assert redact("x(((((((y", "(((((((") == f"x{MARK}y"


def test_a_huge_value_is_still_found_as_it_is() -> None:
    huge = "k" * 40_000
    assert redact(f"<{huge}>", huge) == f"<{MARK}>"
