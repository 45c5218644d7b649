"""Attempt limits as a client meets them."""

from collections.abc import AsyncIterator

import pytest

from gateway.auth.issuer.attempts import AttemptLimits
from gateway.store.database import Database
from tests.support.issuer import RunningIssuer, running_issuer

EMAIL = "ann@example.com"
PASSWORD = "correct horse"


@pytest.fixture
async def strict(
    auth_database: tuple[str, str], database: Database
) -> AsyncIterator[RunningIssuer]:
    limits = AttemptLimits(account=3, address=6, session=4)
    async with running_issuer(*auth_database, database, limits=limits) as running:
        yield running


async def test_guessing_is_stopped_even_with_the_right_password(strict: RunningIssuer) -> None:
    await strict.sign_up(EMAIL, PASSWORD)
    for _ in range(3):
        assert (await strict.sign_in(EMAIL, "wrong password")).status_code == 400
    answer = await strict.sign_in(EMAIL, PASSWORD)
    assert (answer.status_code, answer.json()["code"]) == (429, "over_request_rate_limit")
    assert 0 < int(answer.headers["retry-after"]) <= 300


async def test_guessing_goes_on_when_the_window_has_passed(strict: RunningIssuer) -> None:
    await strict.sign_up(EMAIL, PASSWORD)
    for _ in range(3):
        await strict.sign_in(EMAIL, "wrong password")
    strict.clock.ahead += 301
    assert (await strict.sign_in(EMAIL, PASSWORD)).status_code == 200


async def test_successful_sign_ins_are_free(strict: RunningIssuer) -> None:
    await strict.sign_up(EMAIL, PASSWORD)
    for _ in range(8):
        assert (await strict.sign_in(EMAIL, PASSWORD)).status_code == 200


async def test_one_address_cannot_try_many_accounts(strict: RunningIssuer) -> None:
    for number in range(6):
        assert (await strict.sign_in(f"p{number}@example.com", PASSWORD)).status_code == 400
    assert (await strict.sign_in("another@example.com", PASSWORD)).status_code == 429


async def test_one_address_cannot_sign_up_without_end(strict: RunningIssuer) -> None:
    for number in range(6):
        await strict.sign_up(f"p{number}@example.com")
    body = {"email": "another@example.com", "password": PASSWORD}
    assert (await strict.http.post("/signup", json=body)).status_code == 429


async def test_one_address_cannot_guess_refresh_tokens(strict: RunningIssuer) -> None:
    for number in range(6):
        assert (await strict.refresh(f"guess{number}")).status_code == 400
    assert (await strict.refresh("guess")).status_code == 429


async def test_one_session_cannot_be_refreshed_without_end(strict: RunningIssuer) -> None:
    token = (await strict.sign_up(EMAIL))["refresh_token"]
    for _ in range(4):
        token = (await strict.refresh(token)).json()["refresh_token"]
    assert (await strict.refresh(token)).status_code == 429
    strict.clock.ahead += 301
    assert (await strict.refresh(token)).status_code == 200


async def test_current_password_cannot_be_guessed_through_a_stolen_session(
    strict: RunningIssuer,
) -> None:
    token = (await strict.sign_up(EMAIL, PASSWORD))["access_token"]
    headers = {"authorization": f"Bearer {token}"}
    body = {"password": "another horse", "current_password": "wrong password"}
    for _ in range(3):
        assert (await strict.http.put("/user", json=body, headers=headers)).status_code == 400
    assert (await strict.http.put("/user", json=body, headers=headers)).status_code == 429


async def test_sign_up_can_be_switched_off(
    auth_database: tuple[str, str], database: Database
) -> None:
    async with running_issuer(*auth_database, database, signup=False) as closed:
        body = {"email": EMAIL, "password": PASSWORD}
        answer = await closed.http.post("/signup", json=body)
        assert (answer.status_code, answer.json()["code"]) == (422, "signup_disabled")
        assert (await closed.http.get("/settings")).json()["disable_signup"] is True
