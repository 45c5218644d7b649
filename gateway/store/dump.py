"""The whole database as one stream, and back, by Postgres' own programs."""

import subprocess
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from tempfile import TemporaryFile

import asyncpg

from gateway.store import binaries
from gateway.store.archive import PIECE_BYTES, BackupError
from gateway.store.driver import translated
from gateway.store.embedded import SUPERUSER, EmbeddedPostgres
from gateway.store.migrate import bootstrap

_ROLES_ONLY = "sandgate_roles"  # made for its side effect: roles are the cluster's
_LOCK_WAIT = "60s"
_HISTORY = "supabase_migrations.schema_migrations"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One moment of the database, kept while its connection is open."""

    id: str
    postgres: int  # major version
    schema: tuple[str, ...]  # applied migrations, oldest first


@asynccontextmanager
async def snapshot(server: EmbeddedPostgres, database: str = "postgres") -> AsyncIterator[Snapshot]:
    """The moment that everything in a backup belongs to."""
    with translated():
        connection = await asyncpg.connect(server.dsn(SUPERUSER, database), timeout=10)
    try:
        with translated():
            transaction = connection.transaction(isolation="repeatable_read", readonly=True)
            await transaction.start()
            taken = Snapshot(
                id=await connection.fetchval("select pg_export_snapshot()"),
                postgres=connection.get_server_version().major,
                schema=await _applied(connection),
            )
        yield taken
    finally:
        await connection.close(timeout=5)


async def _applied(connection: asyncpg.Connection) -> tuple[str, ...]:
    if await connection.fetchval("select to_regclass($1)", _HISTORY) is None:
        raise BackupError("The database has no schema yet; run sandgate migrate and try again.")
    rows = await connection.fetch(
        "select version from supabase_migrations.schema_migrations order by version::numeric"
    )
    return tuple(row["version"] for row in rows)


def dump(server: EmbeddedPostgres, taken: Snapshot, database: str = "postgres") -> Iterator[bytes]:
    """Everything that is in the database at that moment, compressed."""
    command = [_program("pg_dump"), "--format=custom", f"--snapshot={taken.id}", "--no-password"]
    command += [f"--lock-wait-timeout={_LOCK_WAIT}", f"--dbname={server.dsn(SUPERUSER, database)}"]
    with (
        TemporaryFile() as complaints,
        subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=complaints,
            env=binaries.ENVIRONMENT,
        ) as process,
    ):
        assert process.stdout is not None
        try:
            while piece := process.stdout.read(PIECE_BYTES):
                yield piece
        except BaseException:
            process.kill()
            raise
        if process.wait() != 0:
            complaints.seek(0)
            reason = complaints.read()[-800:].decode(errors="replace").strip()
            raise BackupError(f"The database cannot be dumped; try again. {reason}")


async def make_roles(server: EmbeddedPostgres) -> None:
    """The roles that a dump names, in a cluster that has none yet."""
    with translated():
        connection = await asyncpg.connect(server.dsn(SUPERUSER), timeout=10)
        try:
            await connection.execute(f"create database {_ROLES_ONLY}")
            await bootstrap(server.socket_dir, database=_ROLES_ONLY)
            await connection.execute(f"drop database {_ROLES_ONLY}")
        finally:
            await connection.close(timeout=5)


def fill(server: EmbeddedPostgres, content: Iterable[bytes]) -> None:
    """Put a dump into the empty database; all of it or a BackupError."""
    command = [_program("pg_restore"), "--exit-on-error", "--single-transaction", "--no-password"]
    command += [f"--dbname={server.dsn(SUPERUSER)}"]
    with TemporaryFile() as complaints:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=complaints,
            env=binaries.ENVIRONMENT,
        )
        try:
            with process:
                assert process.stdin is not None
                for piece in content:
                    process.stdin.write(piece)
        except BrokenPipeError:
            process.wait()  # it ended early, and has said why
        if process.returncode != 0:
            complaints.seek(0)
            reason = complaints.read()[-800:].decode(errors="replace").strip()
            raise BackupError(f"The database of the backup cannot be restored. {reason}")


async def analyze(server: EmbeddedPostgres) -> None:
    """Let the planner know the tables; without it the first queries are slow ones."""
    with translated():
        connection = await asyncpg.connect(server.dsn(SUPERUSER), timeout=10)
        try:
            await connection.execute("analyze")
        finally:
            await connection.close(timeout=5)


def installed_major() -> int:
    """Major version of the Postgres that is installed here."""
    answer = subprocess.run(
        [_program("postgres"), "--version"],
        capture_output=True,
        check=True,
        timeout=20,
        env=binaries.ENVIRONMENT,
    )
    return int(answer.stdout.decode().split()[-1].partition(".")[0])


def _program(name: str) -> str:
    return str(binaries.installed() / "bin" / name)
