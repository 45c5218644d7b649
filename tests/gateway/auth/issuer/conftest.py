"""One issuer for the tests of a module that ask for it: each has people of its own."""

from collections.abc import AsyncIterator
from uuid import uuid4

import asyncpg
import pytest
import pytest_asyncio

from gateway.auth.issuer.passwords import Passwords
from gateway.store.embedded import EmbeddedPostgres
from gateway.store.postgres import PostgresDatabase
from tests.conftest import TEMPLATE
from tests.support.issuer import RunningIssuer, running_issuer
from tests.support.post import Mailbox


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def auth_dsn(postgres: EmbeddedPostgres) -> AsyncIterator[str]:
    """Address of this module's database for the owner of the auth schema."""
    name = f"test_{uuid4().hex[:12]}"
    admin = await asyncpg.connect(postgres.dsn("supabase_admin"))
    try:
        await admin.execute(f"create database {name} template {TEMPLATE} strategy file_copy")
        yield postgres.dsn("supabase_auth_admin", name)
        await admin.execute(f"drop database {name} with (force)")
    finally:
        await admin.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_database(
    postgres: EmbeddedPostgres, auth_dsn: str
) -> AsyncIterator[PostgresDatabase]:
    """The store on this module's database."""
    async with await PostgresDatabase.connect(
        postgres.socket_dir, database=database_of(auth_dsn)
    ) as opened:
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_issuer(
    postgres: EmbeddedPostgres, auth_dsn: str, shared_database: PostgresDatabase
) -> AsyncIterator[RunningIssuer]:
    """An issuer with the settings of a fresh installation."""
    async with running_issuer(
        str(postgres.socket_dir), database_of(auth_dsn), shared_database, passwords=quick()
    ) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mailing_issuer(
    postgres: EmbeddedPostgres, auth_dsn: str, shared_database: PostgresDatabase
) -> AsyncIterator[tuple[RunningIssuer, Mailbox]]:
    """An issuer where an address is to be confirmed, and the letters it sends."""
    mailbox = Mailbox()
    async with running_issuer(
        str(postgres.socket_dir),
        database_of(auth_dsn),
        shared_database,
        confirm=True,
        carrier=mailbox,
        passwords=quick(),
    ) as running:
        yield running, mailbox


@pytest.fixture
def email() -> str:
    """An address that no other test has."""
    return f"ann-{uuid4().hex[:12]}@example.com"


def quick() -> Passwords:
    """Hashes that cost next to nothing; what they cost is tested where it matters."""
    return Passwords(memory_kib=8, passes=1)


def database_of(dsn: str) -> str:
    """The name of the database in an address."""
    return dsn.partition("@/")[2].partition("?")[0]
