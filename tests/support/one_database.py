"""One migrated database for all tests of a file, for those that only look at what they made."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import asyncpg

from gateway.store.embedded import EmbeddedPostgres

TEMPLATE = "sandgate_template"  # made by the fixture `postgres`


@contextmanager
def one_database(postgres: EmbeddedPostgres) -> Iterator[str]:
    """Its name."""
    name = f"test_{uuid4().hex[:12]}"
    _administer(postgres, f"create database {name} template {TEMPLATE} strategy file_copy")
    yield name
    _administer(postgres, f"drop database {name} with (force)")


def _administer(postgres: EmbeddedPostgres, command: str) -> None:
    async def run() -> None:
        connection = await asyncpg.connect(postgres.dsn("supabase_admin"))
        try:
            await connection.execute(command)
        finally:
            await connection.close()

    asyncio.run(run())
