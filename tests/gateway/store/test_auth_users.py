"""Refresh tokens and sessions that are over do not pile up."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from gateway.store.auth_users import KEEP_ROTATED
from gateway.store.database import Database
from tests.support.issuer import RunningIssuer, running_issuer

EMAIL = "ann@example.com"
LATER = timedelta(minutes=1)


@pytest.fixture
async def issuer(
    auth_database: tuple[str, str], database: Database
) -> AsyncIterator[RunningIssuer]:
    async with running_issuer(*auth_database, database) as running:
        yield running


@pytest.fixture
async def auth(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    """The auth schema's own role."""
    connection = await asyncpg.connect(dsn.replace("//postgres@", "//supabase_auth_admin@"))
    yield connection
    await connection.close()


async def tokens(auth: asyncpg.Connection) -> int:
    count: int = await auth.fetchval("select count(*) from auth.refresh_tokens")
    return count


async def test_tokens_rotated_long_ago_go_and_the_session_goes_on(
    issuer: RunningIssuer, auth: asyncpg.Connection
) -> None:
    token = (await issuer.sign_up(EMAIL))["refresh_token"]
    for _ in range(3):
        token = (await issuer.refresh(token)).json()["refresh_token"]
    assert await issuer.users.purge(datetime.now(UTC) + KEEP_ROTATED + LATER) == 3
    assert await tokens(auth) == 1
    assert (await issuer.refresh(token)).status_code == 200


async def test_however_many_they_are(issuer: RunningIssuer, auth: asyncpg.Connection) -> None:
    token = (await issuer.sign_up(EMAIL))["refresh_token"]
    for _ in range(5):
        token = (await issuer.refresh(token)).json()["refresh_token"]
    then = datetime.now(UTC) + KEEP_ROTATED + LATER
    assert await issuer.users.purge(then, at_once=2) == 5
    assert await tokens(auth) == 1


async def test_a_copy_used_before_then_still_ends_the_session(
    issuer: RunningIssuer, auth: asyncpg.Connection
) -> None:
    first = (await issuer.sign_up(EMAIL))["refresh_token"]
    current = (await issuer.refresh(first)).json()["refresh_token"]
    assert await issuer.users.purge(datetime.now(UTC) + KEEP_ROTATED - LATER) == 0
    issuer.clock.ahead += 60
    assert (await issuer.refresh(first)).status_code == 400
    assert (await issuer.refresh(current)).status_code == 400
    assert await tokens(auth) == 0


async def test_sessions_past_their_end_go_with_their_tokens(
    issuer: RunningIssuer, auth: asyncpg.Connection
) -> None:
    await issuer.sign_up(EMAIL)
    await issuer.sign_up("ben@example.com")
    await auth.execute(
        "update auth.sessions set not_after = now() - interval '1 s' where user_id ="
        " (select id from auth.users where email = $1)",
        EMAIL,
    )
    await issuer.users.purge(datetime.now(UTC))
    assert await auth.fetchval("select count(*) from auth.sessions") == 1
    assert await tokens(auth) == 1
