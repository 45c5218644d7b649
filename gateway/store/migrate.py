"""Brings a database to the newest schema, with the history table of Supabase's own tool."""

import re
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from gateway.errors import SandgateError

_FILE_NAME = re.compile(r"^(\d+)_(.*)\.sql$")
_LOCK = 0x53414E44  # any number does, as long as every migrator uses the same
_BOOTSTRAP = Path(__file__).with_name("bootstrap.sql")
MIGRATIONS = Path(__file__).parents[2] / "supabase" / "migrations"
_HISTORY_TABLE = "supabase_migrations.schema_migrations"
_HISTORY = """
create schema if not exists supabase_migrations;
create table if not exists supabase_migrations.schema_migrations (
    version text not null primary key, statements text[], name text
);
"""


class MigrationError(SandgateError):
    """The schema could not be brought up to date; `detail` names the file and the reason."""

    code, title = "migration_failed", "Migration failed"


@dataclass(frozen=True, slots=True)
class Migration:
    """One file: `<version>_<name>.sql`."""

    version: str
    name: str
    sql: str


def read_migrations(folder: Path = MIGRATIONS) -> list[Migration]:
    """The migrations of a folder, oldest first; files named otherwise are not migrations."""
    found: dict[str, Migration] = {}
    for path in sorted(folder.glob("*.sql")):
        if match := _FILE_NAME.match(path.name):
            version, name = match.groups()
            if version in found:
                raise MigrationError(f"Two migrations have the version {version}.")
            found[version] = Migration(version, name, path.read_text())
    if not found:
        raise MigrationError(f"There are no migrations in {folder}.")
    return sorted(found.values(), key=lambda migration: int(migration.version))


def pending(migrations: list[Migration], applied: set[str]) -> list[Migration]:
    """What has to run; refuses a file that is older than what has already run."""
    newest = max((int(version) for version in applied), default=-1)
    todo = [migration for migration in migrations if migration.version not in applied]
    for migration in todo:
        if int(migration.version) < newest:
            raise MigrationError(
                f"{migration.version}_{migration.name}.sql is older than the newest applied "
                f"migration ({newest}); give it a newer version."
            )
    return todo


async def migrate(
    socket_dir: Path, migrations_dir: Path = MIGRATIONS, *, database: str = "postgres"
) -> list[str]:
    """Prepare the embedded database and apply what is missing; answers the applied versions."""
    migrations = read_migrations(migrations_dir)
    await bootstrap(socket_dir, database=database)
    connection = await _connect(socket_dir, "postgres", database)
    try:
        return await apply(connection, migrations)
    finally:
        await connection.close()


async def migrate_at(address: str, migrations_dir: Path = MIGRATIONS) -> list[str]:
    """The same for the database of a Supabase project, which brings roles and auth along."""
    migrations = read_migrations(migrations_dir)
    try:
        connection = await asyncpg.connect(
            address, timeout=10, command_timeout=120, statement_cache_size=0
        )
    except (OSError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise MigrationError(f"The database does not answer: {error}") from error
    try:
        if await connection.fetchval("select to_regclass('auth.users')") is None:
            raise MigrationError("DATABASE_URL names no Supabase project: auth.users is missing.")
        return await apply(connection, migrations)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise MigrationError(f"The database failed: {error}") from error
    finally:
        await connection.close(timeout=10)


async def bootstrap(socket_dir: Path, *, database: str = "postgres") -> None:
    """Make the roles and the auth schema that Supabase brings along. Embedded database only."""
    connection = await _connect(socket_dir, "supabase_admin", database)
    try:
        async with connection.transaction():
            await connection.execute("set local client_min_messages = warning")
            await connection.execute("select pg_advisory_xact_lock($1)", _LOCK)
            await connection.execute(_BOOTSTRAP.read_text())
    finally:
        await connection.close()


async def apply(connection: asyncpg.Connection, migrations: list[Migration]) -> list[str]:
    """Apply what is missing over a connection of the role `postgres`; waits for other migrators."""
    await connection.execute("set client_min_messages = warning")
    await connection.execute("select pg_advisory_lock($1)", _LOCK)
    try:
        await _make_history(connection)
        done = []
        while todo := pending(migrations, await _applied(connection)):
            if await _apply_one(connection, todo[0]):
                done.append(todo[0].version)
        await connection.execute("notify pgrst, 'reload schema'")
        return done
    finally:
        if not connection.is_closed():
            await connection.execute("select pg_advisory_unlock($1)", _LOCK)


async def _make_history(connection: asyncpg.Connection) -> None:
    if await connection.fetchval(f"select to_regclass('{_HISTORY_TABLE}')") is not None:
        return
    try:
        await connection.execute(_HISTORY)
    except (asyncpg.UniqueViolationError, asyncpg.DuplicateObjectError):
        await connection.execute(_HISTORY)  # Supabase's own tool made it in the same moment


async def _applied(connection: asyncpg.Connection) -> set[str]:
    rows = await connection.fetch("select version from supabase_migrations.schema_migrations")
    return {row["version"] for row in rows}


async def _apply_one(connection: asyncpg.Connection, migration: Migration) -> bool:
    """One file and its row of history: both or neither. False when somebody else did it.

    Supabase's own tool does not know our lock: while it works on the same file ours fails.
    """
    try:
        async with connection.transaction():
            await connection.execute(migration.sql)
            await connection.execute("reset role")
            await connection.execute(
                "insert into supabase_migrations.schema_migrations (version, name, statements) "
                "values ($1, $2, $3)",
                migration.version,
                migration.name,
                [migration.sql],
            )
    except asyncpg.PostgresError as error:
        if migration.version in await _applied(connection):
            return False
        raise MigrationError(f"{migration.version}_{migration.name}.sql: {error}") from error
    return True


async def _connect(socket_dir: Path, user: str, database: str) -> asyncpg.Connection:
    try:
        return await asyncpg.connect(
            host=str(socket_dir), user=user, database=database, timeout=10, command_timeout=120
        )
    except (OSError, asyncpg.PostgresError) as error:
        raise MigrationError(f"The database does not answer: {error}") from error
