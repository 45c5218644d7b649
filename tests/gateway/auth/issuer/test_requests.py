"""What may come in: bodies, addresses and metadata."""

from typing import Any

import pytest

from gateway.auth.issuer.errors import BadJsonError, ValidationError
from gateway.auth.issuer.requests import metadata_of, normal_email, parse_object


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"text"',
        b'{"a": NaN}',
        b'{"a": -Infinity}',
        b"\xff\xfe",
        b'{"a": ' + b"9" * 5000 + b"}",
        b"[" * 50_000,
        b'{"a":' * 10_000,
    ],
)
def test_what_is_no_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(BadJsonError):
        parse_object(body)


@pytest.mark.parametrize(
    ("given", "normal"),
    [
        ("Ann@Example.COM", "ann@example.com"),
        ("  ann@example.com ", "ann@example.com"),
        ("admin@localhost", "admin@localhost"),
        ("a.b+tag@sub.example.org", "a.b+tag@sub.example.org"),
    ],
)
def test_address_is_normalised(given: str, normal: str) -> None:
    assert normal_email(given) == normal


@pytest.mark.parametrize(
    "email",
    [
        "",
        "ann",
        "ann@",
        "@example.com",
        "ann@@example.com",
        "ann@example..com",
        "ann@-example.com",
        "ann@example.com\n",
        "\tann@example.com",
        "ann\0@example.com",
        "an n@example.com",
        "Ann <ann@example.com>",
        "ann@exämple.com",
        "аnn@example.com",  # the first letter is Cyrillic
        "a" * 65 + "@example.com",
        "a@" + ".".join(["b" * 60] * 5),
    ],
)
def test_address_that_is_none_is_refused(email: str) -> None:
    with pytest.raises(ValidationError):
        normal_email(email)


def nested(depth: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(depth):
        value = {"a": value}
    return value


def test_metadata_of_every_json_type_is_kept() -> None:
    data = {"name": "Zoë\n", "n": 1, "f": 1.5, "list": [True, None, {"x": "y"}]}
    assert metadata_of({"data": data}) == data


@pytest.mark.parametrize("body", [{}, {"data": None}, {"data": {}}])
def test_absent_metadata_is_empty(body: dict[str, Any]) -> None:
    assert metadata_of(body) == {}


@pytest.mark.parametrize(
    "data",
    [
        [],
        "text",
        7,
        {"a": "nul \0"},
        {"nul \0": 1},
        {"a": ["\ud800"]},
        {"a": 1e999},
        {"a": "x" * 4096},
        nested(17),
        nested(900),
    ],
)
def test_metadata_that_cannot_be_kept_is_refused(data: object) -> None:
    with pytest.raises(ValidationError):
        metadata_of({"data": data})
