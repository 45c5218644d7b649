"""A running issuer for the tests of people and sessions."""

from collections.abc import AsyncIterator

import pytest

from gateway.store.database import Database
from gateway.store.embedded import EmbeddedPostgres
from tests.support.issuer import RunningIssuer, running_issuer


@pytest.fixture
def auth_database(postgres: EmbeddedPostgres, database_name: str) -> tuple[str, str]:
    """Socket directory and name of this test's database."""
    return str(postgres.socket_dir), database_name


@pytest.fixture
async def issuer(
    auth_database: tuple[str, str], database: Database
) -> AsyncIterator[RunningIssuer]:
    """A real issuer on a loopback port over this test's database."""
    async with running_issuer(*auth_database, database) as running:
        yield running
