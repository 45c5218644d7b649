"""Codes as RFC 6238 has them, and which of them are taken."""

from urllib.parse import parse_qs, urlsplit

import pytest

from gateway.auth.issuer.totp import code_at, new_secret, qr_code, step_of, uri_of

SECRET = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"  # of the RFC's test vectors


@pytest.mark.parametrize(
    ("seconds", "code"),
    [(59, "287082"), (1111111109, "081804"), (1234567890, "005924"), (20000000000, "353130")],
)
def test_codes_are_those_of_the_standard(seconds: int, code: str) -> None:
    assert code_at(SECRET, seconds // 30) == code


@pytest.mark.parametrize(
    ("off", "taken"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)]
)
def test_a_clock_may_be_one_step_off(off: int, taken: bool) -> None:
    now = 1234567890
    step = now // 30 + off
    assert step_of(SECRET, code_at(SECRET, step), now) == (step if taken else None)


@pytest.mark.parametrize("code", ["", "12345", "1234567", "٠٠٥٩٢٤", "00592a", "005924\n", "\0" * 6])
def test_what_is_no_code_is_none(code: str) -> None:
    assert step_of(SECRET, code, 1234567890) is None


def test_secrets_differ() -> None:
    assert len({new_secret() for _ in range(20)}) == 20


def test_names_cannot_change_what_the_code_holds() -> None:
    uri = uri_of(SECRET, "A&secret=X", "ann@example.com?issuer=Y")
    assert parse_qs(urlsplit(uri).query)["secret"] == [SECRET]
    assert parse_qs(urlsplit(uri).query)["issuer"] == ["A&secret=X"]


def test_the_picture_is_svg_and_nothing_else() -> None:
    picture = qr_code(uri_of(SECRET, "Sandgate", "ann@example.com"))
    assert picture.startswith("<svg ")
    assert 'xmlns="http://www.w3.org/2000/svg"' in picture
