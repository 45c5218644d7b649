"""Signing in on the command line with two factors, at a real issuer."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from typer.testing import Result

from gateway.auth.issuer.totp import code_at
from gateway.store.database import Database
from gateway.store.embedded import EmbeddedPostgres
from tests.support.client_command import Command
from tests.support.issuer import RunningIssuer, bearer, running_issuer

EMAIL = "ann@example.com"
PASSWORD = "correct horse"


@pytest.fixture
async def issuer(
    postgres: EmbeddedPostgres, database_name: str, database: Database
) -> AsyncIterator[RunningIssuer]:
    async with running_issuer(str(postgres.socket_dir), database_name, database) as running:
        yield running


async def enrolled(issuer: RunningIssuer) -> str:
    """The secret of somebody's telephone."""
    client = issuer.client()
    await client.sign_up({"email": EMAIL, "password": PASSWORD})
    factor = await client.mfa.enroll({"factor_type": "totp", "friendly_name": "my phone"})
    assert factor.totp is not None
    code = code_at(factor.totp.secret, int(issuer.clock() // 30))
    await client.mfa.challenge_and_verify({"factor_id": factor.id, "code": code})
    return factor.totp.secret


async def login(sandgate: Command, issuer: RunningIssuer, *more: str, typed: str = "") -> Result:
    arguments = ("login", "--url", issuer.url, "--email", EMAIL, "--password", PASSWORD, *more)
    return await asyncio.to_thread(lambda: sandgate(*arguments, typed=typed))


async def test_login_asks_for_the_code_of_the_factor(
    sandgate: Command, issuer: RunningIssuer
) -> None:
    secret = await enrolled(issuer)
    issuer.clock.ahead += 30
    code = code_at(secret, int(issuer.clock() // 30))
    result = await login(sandgate, issuer, typed=f"{code}\n")
    assert result.exit_code == 0, result.output
    assert "Code of my phone" in result.stderr
    assert (await asyncio.to_thread(lambda: sandgate("whoami"))).exit_code == 0


async def test_a_wrong_code_signs_nobody_in(sandgate: Command, issuer: RunningIssuer) -> None:
    await enrolled(issuer)
    result = await login(sandgate, issuer, "--code", "000000")
    assert result.exit_code == 1
    assert "Wait for the next code" in result.stderr
    assert not sandgate.credentials.exists()


async def test_who_has_one_factor_is_not_asked(sandgate: Command, issuer: RunningIssuer) -> None:
    token = (await issuer.sign_up(EMAIL, PASSWORD))["access_token"]
    begun = await issuer.http.post("/factors", json={"factor_type": "totp"}, headers=bearer(token))
    assert begun.status_code == 200
    assert (await login(sandgate, issuer)).exit_code == 0
