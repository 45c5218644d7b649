"""The password policy, and hashes that take their time whether the account exists or not."""

import asyncio
from collections.abc import Iterator

import pytest

from gateway.auth.issuer.errors import BusyError, WeakPasswordError
from gateway.auth.issuer.passwords import Passwords, check_password, could_be_password


@pytest.fixture
def passwords() -> Iterator[Passwords]:
    made = Passwords()
    yield made
    made.close()


@pytest.mark.parametrize("password", ["12345678", "pass word", "пароль-из-букв", "é" * 512])
def test_acceptable(password: str) -> None:
    check_password(password)
    assert could_be_password(password)


@pytest.mark.parametrize(
    ("password", "reasons"),
    [
        ("", ["length"]),
        ("1234567", ["length"]),
        ("x" * 1025, ["length"]),
        ("é" * 513, ["length"]),
        ("12345678\0", ["characters"]),
        ("1234\n5678", ["characters"]),
        ("\x7f", ["length", "characters"]),
        ("12345678\ud800", ["characters"]),
    ],
)
def test_refused_with_reasons(password: str, reasons: list[str]) -> None:
    with pytest.raises(WeakPasswordError) as refused:
        check_password(password)
    assert refused.value.extra == {"weak_password": {"reasons": reasons}}


@pytest.mark.parametrize("password", ["", "x" * 1025, "12345678\0", "12345678\ud800"])
def test_what_could_never_be_a_password_is_not_worth_a_hash(password: str) -> None:
    assert not could_be_password(password)


async def test_hash_is_argon2id_and_salted(passwords: Passwords) -> None:
    first, second = await passwords.hash("correct horse"), await passwords.hash("correct horse")
    assert first.startswith("$argon2id$")
    assert first != second
    assert not passwords.outdated(first)


async def test_only_the_right_password_matches(passwords: Passwords) -> None:
    stored = await passwords.hash("correct horse")
    assert await passwords.matches("correct horse", stored)
    assert not await passwords.matches("correct horsf", stored)


@pytest.mark.parametrize("stored", ["", "nonsense", "$argon2id$v=19$broken", "$2b$10$abc"])
async def test_hash_of_another_kind_matches_nothing(passwords: Passwords, stored: str) -> None:
    assert not await passwords.matches("correct horse", stored)


async def test_unknown_account_never_matches_not_even_the_decoy(passwords: Passwords) -> None:
    assert not await passwords.matches("no account has this password", None)


async def test_too_many_at_once_are_refused_and_the_room_comes_back() -> None:
    passwords = Passwords(workers=1, waiting=1)
    try:
        outcomes = await asyncio.gather(
            *(passwords.hash("correct horse") for _ in range(5)), return_exceptions=True
        )
        assert sum(isinstance(outcome, str) for outcome in outcomes) == 2
        assert sum(isinstance(outcome, BusyError) for outcome in outcomes) == 3
        assert await passwords.hash("correct horse")
    finally:
        passwords.close()
