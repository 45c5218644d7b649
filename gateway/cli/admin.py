"""Commands that work on the database themselves, whether Sandgate runs or not."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from gateway.auth.issuer.passwords import Passwords
from gateway.cli.first_run import CreateAdmin
from gateway.operations.people import create_admin
from gateway.store.auth_users import AuthUsers
from gateway.store.embedded import EmbeddedPostgres
from gateway.store.migrate import migrate
from gateway.store.migrate import migrate_at as migrate_at
from gateway.store.postgres import PostgresDatabase


@asynccontextmanager
async def running_postgres(data_dir: Path) -> AsyncIterator[EmbeddedPostgres]:
    """The server that runs, or one for the time of this command."""
    server = EmbeddedPostgres(data_dir)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


async def migrate_now(data_dir: Path) -> list[str]:
    """Apply what is missing; answers the names."""
    async with running_postgres(data_dir) as server:
        return await migrate(server.socket_dir)


@asynccontextmanager
async def people(data_dir: Path) -> AsyncIterator[CreateAdmin]:
    """Yields the one thing that is done to people from outside: making an admin."""
    async with running_postgres(data_dir) as server:
        await migrate(server.socket_dir)
        users = await AuthUsers.connect(str(server.socket_dir), size=1)
        passwords = Passwords(workers=1)
        try:
            async with await PostgresDatabase.connect(server.socket_dir, connections=1) as database:

                async def make(email: str, password: str) -> None:
                    await create_admin(
                        email, password, users=users, passwords=passwords, database=database
                    )

                yield make
        finally:
            passwords.close()
            await users.close()
