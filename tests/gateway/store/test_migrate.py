"""Migrations: in order, once, each whole or not at all."""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from gateway.store.database import SERVICE, DatabaseError
from gateway.store.embedded import EmbeddedPostgres
from gateway.store.migrate import (
    MIGRATIONS,
    MigrationError,
    migrate,
    migrate_at,
    read_migrations,
)
from gateway.store.postgres import PostgresDatabase


@pytest.fixture
async def empty(postgres: EmbeddedPostgres) -> AsyncIterator[str]:
    """Name of an empty database."""
    name = f"empty_{uuid4().hex[:12]}"
    connection = await asyncpg.connect(postgres.dsn("supabase_admin"))
    await connection.execute(f"create database {name}")
    yield name
    await connection.execute(f"drop database {name} with (force)")
    await connection.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path, "100_first", "create table public.first (id int);")
    write(tmp_path, "200_second", "create table public.second (id int);")
    return tmp_path


def write(folder: Path, name: str, sql: str) -> None:
    (folder / f"{name}.sql").write_text(sql)


async def ask(postgres: EmbeddedPostgres, database: str, text: str) -> list[str]:
    connection = await asyncpg.connect(postgres.dsn("postgres", database))
    try:
        return [str(row[0]) for row in await connection.fetch(text)]
    finally:
        await connection.close()


MIGRATE = """
import asyncio, sys
from pathlib import Path
from gateway.store.migrate import migrate
print(asyncio.run(migrate(Path(sys.argv[1]), Path(sys.argv[3]), database=sys.argv[2])))
"""
WAITING = "select exists (select from pg_locks where not granted and objid = 78)"
HISTORY = "select version from supabase_migrations.schema_migrations order by 1"
TABLES = "select relname from pg_class where relnamespace = 'public'::regnamespace order by 1"


async def test_files_are_applied_in_order_and_recorded(
    postgres: EmbeddedPostgres, empty: str, folder: Path
) -> None:
    write(folder, "README", "not sql at all")
    applied = await migrate(postgres.socket_dir, folder, database=empty)
    assert applied == ["100", "200"]
    assert await ask(postgres, empty, TABLES) == ["first", "second"]
    rows = await ask(
        postgres,
        empty,
        "select row(version, name, statements[1]) from supabase_migrations.schema_migrations",
    )
    assert "'first', 'create table public.first (id int);'" in rows[0]


async def test_a_second_run_finds_nothing_to_do(
    postgres: EmbeddedPostgres, empty: str, folder: Path
) -> None:
    await migrate(postgres.socket_dir, folder, database=empty)
    assert await migrate(postgres.socket_dir, folder, database=empty) == []


async def test_only_new_files_are_applied(
    postgres: EmbeddedPostgres, empty: str, folder: Path
) -> None:
    await migrate(postgres.socket_dir, folder, database=empty)
    write(folder, "300_third", "create table public.third (id int);")
    assert await migrate(postgres.socket_dir, folder, database=empty) == ["300"]


async def test_several_at_once_apply_each_file_once(
    postgres: EmbeddedPostgres, empty: str, folder: Path
) -> None:
    runs = [migrate(postgres.socket_dir, folder, database=empty) for _ in range(4)]
    applied = await asyncio.gather(*runs)
    assert sorted(applied) == [[], [], [], ["100", "200"]]


async def test_two_processes_apply_each_file_once(
    postgres: EmbeddedPostgres, empty: str, folder: Path
) -> None:
    runs = [await started(postgres, empty, folder) for _ in range(2)]
    said = [(await run.communicate())[0].decode().strip() for run in runs]
    assert sorted(said, key=len) == ["[]", "['100', '200']"]


async def test_the_next_run_goes_on_where_one_was_killed(
    postgres: EmbeddedPostgres, empty: str, folder: Path
) -> None:
    """In the middle of a file: nothing of that file is there, and all of those before."""
    lock = "select pg_advisory_xact_lock(78)"
    write(folder, "300_third", f"create table public.third (id int); {lock};")
    holder = await asyncpg.connect(postgres.dsn("supabase_admin", empty))
    try:
        await holder.execute("select pg_advisory_lock(78)")
        run = await started(postgres, empty, folder)
        while not await holder.fetchval(WAITING):
            await asyncio.sleep(0.02)
        run.kill()
        await run.communicate()
        assert await ask(postgres, empty, HISTORY) == ["100", "200"]
        assert await ask(postgres, empty, TABLES) == ["first", "second"]
    finally:
        await holder.close()
    assert await migrate(postgres.socket_dir, folder, database=empty) == ["300"]


async def started(
    postgres: EmbeddedPostgres, database: str, folder: Path
) -> asyncio.subprocess.Process:
    """The same in a process of its own."""
    arguments = (str(postgres.socket_dir), database, str(folder))
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", MIGRATE, *arguments, stdout=asyncio.subprocess.PIPE
    )


async def test_a_failing_file_leaves_nothing_and_earlier_ones_stay(
    postgres: EmbeddedPostgres, empty: str, folder: Path
) -> None:
    write(folder, "300_broken", "create table public.third (id int); select 1/0;")
    with pytest.raises(MigrationError, match=r"300_broken.sql: division by zero"):
        await migrate(postgres.socket_dir, folder, database=empty)
    assert await ask(postgres, empty, TABLES) == ["first", "second"]
    assert await ask(postgres, empty, HISTORY) == ["100", "200"]


async def test_a_file_older_than_the_newest_applied_is_refused(
    postgres: EmbeddedPostgres, empty: str, folder: Path
) -> None:
    await migrate(postgres.socket_dir, folder, database=empty)
    write(folder, "150_late", "create table public.late (id int);")
    with pytest.raises(MigrationError, match=r"150_late.sql is older"):
        await migrate(postgres.socket_dir, folder, database=empty)
    assert await ask(postgres, empty, HISTORY) == ["100", "200"]


async def test_order_is_by_number_not_by_text(
    postgres: EmbeddedPostgres, empty: str, tmp_path: Path
) -> None:
    write(tmp_path, "9_first", "create table public.first (id int);")
    write(tmp_path, "10_second", "alter table public.first add column n int;")
    assert await migrate(postgres.socket_dir, tmp_path, database=empty) == ["9", "10"]


def test_the_same_version_twice_is_refused(folder: Path) -> None:
    write(folder, "200_again", "select 1;")
    with pytest.raises(MigrationError, match="version 200"):
        read_migrations(folder)


def test_a_folder_without_migrations_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MigrationError, match="no migrations"):
        read_migrations(tmp_path)


async def test_files_run_without_superuser_rights(
    postgres: EmbeddedPostgres, empty: str, folder: Path
) -> None:
    write(folder, "300_super", "create table auth.mine (id int);")
    with pytest.raises(MigrationError, match="permission denied"):
        await migrate(postgres.socket_dir, folder, database=empty)


async def test_a_file_that_changes_its_role_does_not_change_the_next(
    postgres: EmbeddedPostgres, empty: str, folder: Path
) -> None:
    write(folder, "300_role", "set role anon;")
    write(folder, "400_after", "create table public.after (id int);")
    assert len(await migrate(postgres.socket_dir, folder, database=empty)) == 4


async def test_a_store_that_is_open_learns_of_new_functions(
    postgres: EmbeddedPostgres, empty: str, folder: Path
) -> None:
    await migrate(postgres.socket_dir, folder, database=empty)
    async with await PostgresDatabase.connect(postgres.socket_dir, database=empty) as store:
        with pytest.raises(DatabaseError):
            await store.rpc("late", {}, identity=SERVICE)
        write(folder, "300_late", "create function public.late() returns int return 4;")
        await migrate(postgres.socket_dir, folder, database=empty)
        assert await store.rpc("late", {}, identity=SERVICE) == 4


async def test_no_server(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(MigrationError, match="does not answer"):
        await migrate(tmp_path, folder)


async def test_a_database_that_is_no_project_is_left_alone(
    postgres: EmbeddedPostgres, empty: str, folder: Path
) -> None:
    with pytest.raises(MigrationError, match=r"auth\.users is missing"):
        await migrate_at(postgres.dsn("postgres", empty), folder)
    assert await ask(postgres, empty, TABLES) == []


@pytest.mark.parametrize("address", ["postgresql://x@127.0.0.1:1/x", "postgresql://[", "nonsense"])
async def test_an_address_where_nobody_answers(address: str, folder: Path) -> None:
    with pytest.raises(MigrationError, match="does not answer"):
        await migrate_at(address, folder)


async def test_a_file_that_somebody_else_applies_meanwhile_is_his(
    postgres: EmbeddedPostgres, empty: str, folder: Path
) -> None:
    """Supabase's own tool does not know our lock."""
    await migrate(postgres.socket_dir, folder, database=empty)
    write(folder, "300_third", "create table public.third (id int);")
    write(folder, "400_fourth", "create table public.fourth (id int);")
    other = await asyncpg.connect(postgres.dsn("postgres", empty))
    transaction = other.transaction()
    await transaction.start()
    await other.execute("create table public.third (id int)")
    await other.execute("insert into supabase_migrations.schema_migrations values ('300')")
    ours = asyncio.create_task(migrate(postgres.socket_dir, folder, database=empty))
    blocked = "select count(*) from pg_locks where not granted and locktype = 'transactionid'"
    while not await other.fetchval(blocked):
        await asyncio.sleep(0.02)
    await transaction.commit()
    await other.close()
    assert await ours == ["400"]
    assert await ask(postgres, empty, TABLES) == ["first", "fourth", "second", "third"]


async def test_our_migrations_need_no_extension_and_no_newest_postgres() -> None:
    for migration in read_migrations(MIGRATIONS):
        for word in ("uuidv7", "create extension", "without overlaps", ") virtual"):
            assert word not in migration.sql.lower(), migration.name
