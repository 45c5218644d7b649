"""Which call settings may be asked for, and how they are stored."""

from typing import Any

import pytest

from gateway.operations.call_settings import (
    MAX_PRICE,
    InvalidCallSettingsError,
    InvalidPriceError,
    checked_call_settings,
    checked_price,
)
from gateway.store.call_settings import PLAIN, CallSettings

CORS = {"origins": ["https://app.example.com"]}
FULL_CORS = {
    "origins": ["https://app.example.com"],
    "methods": ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"],
    "headers": ["*"],
    "expose": [],
    "credentials": False,
    "max_age": 600,
}


@pytest.mark.parametrize(
    ("asked", "stored"),
    [
        ({}, {}),
        ({"cache": False, "documents": "key", "validate": False}, {}),
        ({"websocket": {"idle_seconds": 60}, "streams": {}}, {}),
        ({"cors": None, "max_concurrency": None, "queue": None}, {}),
        ({"cache": True, "queue": 0, "max_concurrency": 1}, None),
        ({"documents": "off", "validate": True}, None),
        ({"cors": CORS}, {"cors": FULL_CORS}),
    ],
)
def test_only_what_differs_from_the_defaults_is_stored(
    asked: dict[str, Any], stored: dict[str, Any] | None
) -> None:
    assert checked_call_settings(asked) == (asked if stored is None else stored)


def test_a_part_is_stored_whole() -> None:
    stored = checked_call_settings({"streams": {"idle_seconds": 60}})
    assert stored == {"streams": {"idle_seconds": 60, "total_seconds": 3600}}


def test_what_is_stored_is_what_is_read() -> None:
    asked = {"cors": {**CORS, "expose": ["X-Total"]}, "cache": True, "queue": 3}
    settings = CallSettings.from_row(checked_call_settings(asked))
    assert settings.cors is not None
    assert settings.cors.origins == ("https://app.example.com",)
    assert settings.cors.expose == ("x-total",)
    assert (settings.cache, settings.queue, settings.max_concurrency) == (True, 3, None)


def test_names_of_a_later_release_are_left_to_it() -> None:
    stored = {"streams": {"idle_seconds": 5, "total_seconds": 6, "pace": 7}, "colour": "red"}
    assert CallSettings.from_row(stored).streams.idle_seconds == 5


@pytest.mark.parametrize("stored", [None, {}, {"queue": 5}, {"documents": "public"}])
def test_settings_that_ordinary_calls_need_not_look_at_are_plain(
    stored: dict[str, Any] | None,
) -> None:
    assert CallSettings.from_row(stored).is_plain


@pytest.mark.parametrize("stored", [{"cors": FULL_CORS}, {"cache": True}, {"validate": True}])
def test_settings_that_every_call_looks_at_are_not_plain(stored: dict[str, Any]) -> None:
    assert PLAIN.is_plain
    assert not CallSettings.from_row(stored).is_plain


@pytest.mark.parametrize(
    ("asked", "stored"),
    [
        ("*", "*"),
        ("HTTPS://App.Example.COM", "https://app.example.com"),
        ("https://app.example.com:443", "https://app.example.com"),
        ("http://localhost:80", "http://localhost"),
        ("http://localhost:3000", "http://localhost:3000"),
        ("https://app.example.com:80", "https://app.example.com:80"),
        ("https://*.example.com", "https://*.example.com"),
        ("http://[::1]:8080", "http://[::1]:8080"),
        ("http://127.0.0.1", "http://127.0.0.1"),
    ],
)
def test_origin_is_stored_as_browsers_write_it(asked: str, stored: str) -> None:
    assert checked_call_settings({"cors": {"origins": [asked]}})["cors"]["origins"] == [stored]


@pytest.mark.parametrize(
    "origin",
    [
        "",
        "null",
        "app.example.com",
        "https://app.example.com/",
        "https://app.example.com/path",
        "https://user@app.example.com",
        "https://*.com",
        "https://*",
        "https://app.*.com",
        "https://*.[::1]",
        "https://app.example.com:0",
        "https://app.example.com:65536",
        "ftp://app.example.com",
        "https://app.example.com,https://b.example.com",
        "https://app.example.com\r\nx: y",
        "https://ä.example.com",
        "https://" + "a" * 64 + ".example.com",
    ],
)
def test_what_is_no_origin_is_refused(origin: str) -> None:
    with pytest.raises(InvalidCallSettingsError):
        checked_call_settings({"cors": {"origins": [origin]}})


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"cors": {"origins": []}}, "at least one"),
        ({"cors": {"origins": ["*", "https://a.example.com"]}}, "alone"),
        ({"cors": {"origins": ["*"], "credentials": True}}, "browsers refuse"),
        ({"cors": {**CORS, "methods": ["TRACE"]}}, "cors.methods"),
        ({"cors": {**CORS, "methods": []}}, "cors.methods"),
        ({"cors": {**CORS, "methods": ["GET, PUT"]}}, "cors.methods"),
        ({"cors": {**CORS, "headers": ["x y"]}}, "cors.headers"),
        ({"cors": {**CORS, "headers": ["x:\r\n"]}}, "cors.headers"),
        ({"cors": {**CORS, "expose": ["Set-Cookie"]}}, "cors.expose"),
        ({"cors": {**CORS, "expose": ["*"]}}, "cors.expose"),
        ({"cors": {**CORS, "max_age": 86_401}}, "cors.max_age"),
        ({"cors": {"origins": [f"https://a{n}.example.com" for n in range(51)]}}, "at most 50"),
        ({"queue": -1}, "queue is 0"),
        ({"queue": 1001}, "queue is 0"),
        ({"max_concurrency": 0}, "max_concurrency is 1"),
        ({"websocket": {"message_bytes": 0}}, "websocket.message_bytes"),
        ({"websocket": {"idle_seconds": 61, "total_seconds": 60}}, "at most"),
        ({"streams": {"idle_seconds": 3601}}, "streams.idle_seconds"),
        ({"documents": "everyone"}, "documents"),
    ],
)
def test_refusals_say_which(asked: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidCallSettingsError) as caught:
        checked_call_settings(asked)
    assert says in caught.value.detail
    assert (caught.value.status, caught.value.code) == (422, "invalid_call_settings")


@pytest.mark.parametrize("price", [0, 1, MAX_PRICE])
def test_price_is_kept(price: int) -> None:
    assert checked_price(price) == price


@pytest.mark.parametrize("price", [-1, MAX_PRICE + 1])
def test_price_that_no_call_has_is_refused(price: int) -> None:
    with pytest.raises(InvalidPriceError):
        checked_price(price)
