"""Commands that work on the database themselves, whether Sandgate runs or not."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from gateway.auth.issuer.passwords import Passwords
from gateway.cli.first_run import CreateAdmin
from gateway.operations.people import create_admin, create_project_admin
from gateway.settings import Settings
from gateway.store.auth_users import AuthUsers
from gateway.store.database import Database
from gateway.store.embedded import EmbeddedPostgres
from gateway.store.migrate import migrate
from gateway.store.migrate import migrate_at as migrate_at
from gateway.store.postgres import PostgresDatabase
from gateway.store.project import ProjectError, opened, project_of
from gateway.store.project_auth import ProjectAuth


@asynccontextmanager
async def running_postgres(data_dir: Path) -> AsyncIterator[EmbeddedPostgres]:
    """The server that runs, or one for the time of this command."""
    server = EmbeddedPostgres(data_dir)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


async def migrate_now(settings: Settings) -> list[str]:
    """Apply what is missing; answers the names."""
    if project_of(settings) is not None:
        raise ProjectError(
            "a project takes no schema over HTTP; bring it there with: "
            "supabase link && supabase db push, or set DATABASE_URL"
        )
    async with running_postgres(settings.data_dir) as server:
        return await migrate(server.socket_dir)


@asynccontextmanager
async def store(settings: Settings, *, seconds: float) -> AsyncIterator[Database]:
    """The database, be it a project's or our own, which runs meanwhile."""
    async with AsyncExitStack() as stack:
        if project_of(settings) is None:
            await stack.enter_async_context(running_postgres(settings.data_dir))
        yield await stack.enter_async_context(opened(settings, connections=1, seconds=seconds))


@asynccontextmanager
async def people(settings: Settings) -> AsyncIterator[CreateAdmin]:
    """Yields the one thing that is done to people from outside: making an admin."""
    project = project_of(settings)
    if project is not None:
        async with project.database(connections=1) as theirs:

            async def make_there(email: str, password: str) -> None:
                await create_project_admin(
                    email, password, auth=ProjectAuth(project), database=theirs
                )

            yield make_there
        return
    async with running_postgres(settings.data_dir) as server:
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
