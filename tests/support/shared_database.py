"""One database for all tests of a file whose people and tenants are all their own.

@pytest.fixture(scope="module")
def database_name(postgres: EmbeddedPostgres) -> Iterator[str]:
    yield from one_database(postgres)
"""

import asyncio
from collections.abc import Iterator
from uuid import uuid4

import asyncpg

from gateway.store.embedded import EmbeddedPostgres
from tests.conftest import TEMPLATE


def one_database(server: EmbeddedPostgres) -> Iterator[str]:
    """Name of a migrated database, gone at the end."""
    name = f"test_{uuid4().hex[:12]}"
    asyncio.run(_run(server, f"create database {name} template {TEMPLATE} strategy file_copy"))
    yield name
    asyncio.run(_run(server, f"drop database {name} with (force)"))


async def _run(server: EmbeddedPostgres, command: str) -> None:
    connection = await asyncpg.connect(server.dsn("supabase_admin"))
    try:
        await connection.execute(command)
    finally:
        await connection.close()
