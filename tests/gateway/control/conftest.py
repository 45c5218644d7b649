"""The control plane of one test."""

import pytest

from gateway.store.postgres import PostgresDatabase
from tests.support.control import World


@pytest.fixture
def world(database: PostgresDatabase, dsn: str) -> World:
    """Services on this test's database."""
    return World(database, dsn)
