"""What people may tell of themselves."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import InvalidInputError
from gateway.operations.inputs import InvalidNameError, InvalidTextError
from gateway.operations.profile_inputs import (
    InvalidLinkError,
    InvalidPreferenceError,
    Link,
    checked_display_name,
    checked_links,
    checked_preferences,
    checked_text,
    checked_url,
)


@pytest.mark.parametrize(
    ("given_name", "kept"),
    [
        ("  Ada Lovelace ", "Ada Lovelace"),
        ("", ""),
        ("Zoe\u0308", "Zoë"),
        ("👩\u200d🚀", "👩\u200d🚀"),
        ("名前", "名前"),
    ],
)
def test_a_name_is_kept_tidy(given_name: str, kept: str) -> None:
    assert checked_display_name(given_name) == kept


@pytest.mark.parametrize(
    "name", ["a\0b", "a\nb", "\x1b[31m", "\u202eada", "a\u2066b", "\ud800", "\ufeffa", "n" * 81]
)
def test_a_name_that_is_not_one_readable_line_is_refused(name: str) -> None:
    with pytest.raises(InvalidNameError):
        checked_display_name(name)


@pytest.mark.parametrize("text", ["x" * 11, "a\0", "a\x07b", "\u202eb"])
def test_text_that_is_too_long_or_unreadable_is_refused(text: str) -> None:
    with pytest.raises(InvalidTextError):
        checked_text(text, 10, "A bio")


def test_text_keeps_its_lines() -> None:
    assert checked_text(" one\n\ttwo\r\n", 100, "A bio") == "one\n\ttwo"


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com",
        "http://example.com:8080/a?b=c#d",
        "https://[2001:db8::1]/",
        "https://münchen.example/straße",
        "HTTPS://EXAMPLE.COM/",
    ],
)
def test_addresses_of_pages_are_taken(url: str) -> None:
    assert checked_url(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com",
        "//example.com",
        "https://",
        "https:///path",
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        "java\tscript:alert(1)",
        " https://example.com",
        "https://exa mple.com",
        "https://example.com\n",
        "https://example.com/\0",
        "data:text/html,hi",
        "ftp://example.com",
        "file:///etc/passwd",
        "https://user:password@example.com",
        "https://user@example.com",
        "https://example.com:99999",
        "https://example.com\\@evil.example",
        'https://example.com/"onmouseover="x',
        "https://example.com/<script>",
        "https://[::1",
        "https://example.com/\u202e",
        "https://example.com/" + "a" * 300,
    ],
)
def test_what_no_browser_should_follow_is_refused(url: str) -> None:
    with pytest.raises(InvalidLinkError):
        checked_url(url)


@given(st.text(max_size=400))
def test_any_text_is_an_address_or_refused(text: str) -> None:
    try:
        kept = checked_url(text)
    except InvalidLinkError:
        return
    assert kept.lower().startswith(("http://", "https://"))


@given(st.text(max_size=100))
def test_any_name_is_kept_the_second_time_or_refused(text: str) -> None:
    try:
        kept = checked_display_name(text)
    except InvalidInputError:
        return
    assert checked_display_name(kept) == kept


@pytest.mark.parametrize("label", ["", "  ", "x" * 41, "a\nb", "a\0"])
def test_a_link_has_a_readable_label(label: str) -> None:
    with pytest.raises(InvalidLinkError):
        checked_links([Link(label, "https://example.com")])


def test_a_profile_has_few_links() -> None:
    with pytest.raises(InvalidLinkError):
        checked_links([Link("page", "https://example.com")] * 9)


@pytest.mark.parametrize(
    "asked",
    [
        {"theme": "dark", "language": "pt-BR", "time_zone": "UTC"},
        {"theme": None, "language": None, "time_zone": None},
        {"language": "zh-Hant-TW"},
    ],
)
def test_known_preferences_are_taken(asked: dict[str, str | None]) -> None:
    assert checked_preferences(asked) == asked


@pytest.mark.parametrize(
    "asked",
    [
        {"colour": "red"},
        {"theme": "DARK"},
        {"theme": ""},
        {"language": "english please"},
        {"language": "en\n"},
        {"time_zone": "../../etc/passwd"},
        {"time_zone": "Mars/Olympus"},
        {"time_zone": "UTC\0"},
    ],
)
def test_other_preferences_are_refused(asked: dict[str, str | None]) -> None:
    with pytest.raises(InvalidPreferenceError):
        checked_preferences(asked)
