"""The rotation decision, and how tokens follow from each other."""

from uuid import UUID

import pytest

from gateway.auth.issuer.refresh import (
    Rotation,
    StoredToken,
    current_after,
    decide,
    fingerprint,
    first_token,
    secret_from,
    successor,
)

SESSION = UUID(int=7)
SECRET = b"s" * 32


def stored(*, revoked: bool, changed_at: float = 100.0) -> StoredToken:
    return StoredToken("f", SESSION, revoked, changed_at)


@pytest.mark.parametrize(
    ("token", "now", "outcome"),
    [
        (stored(revoked=False), 100.0, Rotation.ROTATE),
        (stored(revoked=False), 1e9, Rotation.ROTATE),
        (stored(revoked=True), 100.0, Rotation.REPEAT),
        (stored(revoked=True), 110.0, Rotation.REPEAT),
        (stored(revoked=True), 110.1, Rotation.REUSED),
        (stored(revoked=True), 1e9, Rotation.REUSED),
    ],
)
def test_decision(token: StoredToken, now: float, outcome: Rotation) -> None:
    assert decide(token, now) is outcome


def test_successor_is_always_the_same_and_needs_the_secret_and_the_session() -> None:
    token = first_token()
    assert successor(SECRET, SESSION, token) == successor(SECRET, SESSION, token)
    assert successor(SECRET, SESSION, token) != successor(b"t" * 32, SESSION, token)
    assert successor(SECRET, SESSION, token) != successor(SECRET, UUID(int=8), token)


def test_current_token_is_found_several_rotations_on() -> None:
    first = first_token()
    third = successor(SECRET, SESSION, successor(SECRET, SESSION, first))
    assert current_after(SECRET, SESSION, first, fingerprint(third)) == third


def test_token_of_another_line_is_not_found() -> None:
    assert current_after(SECRET, SESSION, first_token(), fingerprint(first_token())) is None


def test_first_tokens_are_long_and_differ() -> None:
    tokens = {first_token() for _ in range(100)}
    assert len(tokens) == 100
    assert min(map(len, tokens)) >= 43


def test_fingerprint_does_not_contain_the_token() -> None:
    token = first_token()
    assert token not in fingerprint(token)
    assert len(fingerprint(token)) == 64


def test_secret_belongs_to_the_signing_key() -> None:
    assert secret_from("one key") == secret_from("one key")
    assert secret_from("one key") != secret_from("another key")
    assert len(secret_from("one key")) == 32
