"""One database for the whole matrix; whatever is tried in it is taken back."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from uuid import uuid4

import asyncpg
import pytest

from gateway.store.embedded import EmbeddedPostgres
from gateway.store.postgres import PostgresDatabase
from tests.conftest import TEMPLATE
from tests.supabase.matrix_scene import Scene, make_scene

Shared = tuple[str, Scene]  # name of the database, and what is in it


@pytest.fixture(scope="package")
def shared_scene(postgres: EmbeddedPostgres) -> Iterator[Shared]:
    """A database with the scene."""
    name = f"matrix_{uuid4().hex[:12]}"
    administrator = postgres.dsn("supabase_admin")
    asyncio.run(_administer(administrator, f"create database {name} template {TEMPLATE}"))
    try:
        yield name, asyncio.run(_scene(postgres, name))
    finally:
        asyncio.run(_administer(administrator, f"drop database {name} with (force)"))


@pytest.fixture
def scene(shared_scene: Shared) -> Scene:
    """Who is there and what they have."""
    return shared_scene[1]


@pytest.fixture
async def asking(
    postgres: EmbeddedPostgres, shared_scene: Shared
) -> AsyncIterator[asyncpg.Connection]:
    """A connection as the gateway has it: of `authenticator`, which may become anybody."""
    connection = await asyncpg.connect(postgres.dsn("authenticator", shared_scene[0]))
    yield connection
    await connection.close()


async def _scene(postgres: EmbeddedPostgres, name: str) -> Scene:
    async with await PostgresDatabase.connect(postgres.socket_dir, database=name) as database:
        return await make_scene(database, postgres.dsn("postgres", name))


async def _administer(dsn: str, command: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(command)
    finally:
        await connection.close()
