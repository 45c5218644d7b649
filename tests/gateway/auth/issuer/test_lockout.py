"""Wrong passwords from elsewhere do not shut the owner of an account out."""

from collections.abc import AsyncIterator

import httpx
import pytest

from gateway.store.database import Database
from tests.support.issuer import VERSIONED, RunningIssuer, running_issuer

EMAIL = "ann@example.com"
PASSWORD = "correct horse"
ELSEWHERE = "127.0.0.9"


@pytest.fixture
async def issuer(
    auth_database: tuple[str, str], database: Database
) -> AsyncIterator[RunningIssuer]:
    async with running_issuer(*auth_database, database) as running:
        yield running


async def sign_in(issuer: RunningIssuer, address: str, password: str, times: int = 1) -> list[int]:
    """From this address of the machine; the statuses of the answers."""
    async with httpx.AsyncClient(
        transport=httpx.AsyncHTTPTransport(local_address=address),
        base_url=f"{issuer.url}/auth/v1",
        headers=VERSIONED,
        timeout=30,
    ) as http:
        body = {"email": EMAIL, "password": password}
        return [
            (await http.post("/token?grant_type=password", json=body)).status_code
            for _ in range(times)
        ]


async def attack(issuer: RunningIssuer) -> None:
    """Until nobody may try any more."""
    for number in range(2, 6):
        last = (await sign_in(issuer, f"127.0.0.{number}", "wrong password", 10))[-1]
    assert last == 429


async def test_one_address_alone_cannot_use_up_the_attempts_of_an_account(
    issuer: RunningIssuer,
) -> None:
    await issuer.sign_up(EMAIL, PASSWORD)
    statuses = await sign_in(issuer, "127.0.0.2", "wrong password", 31)
    assert (statuses[0], statuses[-1]) == (400, 429)
    assert await sign_in(issuer, ELSEWHERE, PASSWORD) == [200]


async def test_where_somebody_is_signed_in_they_can_sign_in_during_an_attack(
    issuer: RunningIssuer,
) -> None:
    await issuer.sign_up(EMAIL, PASSWORD)  # from 127.0.0.1
    await attack(issuer)
    assert await sign_in(issuer, ELSEWHERE, PASSWORD) == [429]
    assert await sign_in(issuer, "127.0.0.1", PASSWORD) == [200]


async def test_guessing_is_limited_there_too(issuer: RunningIssuer) -> None:
    await issuer.sign_up(EMAIL, PASSWORD)
    await attack(issuer)
    statuses = await sign_in(issuer, "127.0.0.1", "wrong password", 11)
    assert statuses == [400] * 10 + [429]
    assert await sign_in(issuer, "127.0.0.1", PASSWORD) == [429]


async def test_where_somebody_has_signed_out_nobody_is_known(issuer: RunningIssuer) -> None:
    token = (await issuer.sign_up(EMAIL, PASSWORD))["access_token"]
    await issuer.http.post("/logout", headers={"authorization": f"Bearer {token}"})
    await attack(issuer)
    assert await sign_in(issuer, "127.0.0.1", PASSWORD) == [429]


async def test_the_window_passes(issuer: RunningIssuer) -> None:
    await issuer.sign_up(EMAIL, PASSWORD)
    await attack(issuer)
    issuer.clock.ahead += 301
    assert await sign_in(issuer, ELSEWHERE, PASSWORD) == [200]
