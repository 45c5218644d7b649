"""`sandgate migrate` and Supabase's own tool accept each other's work, whatever happened before."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from gateway.store.embedded import EmbeddedPostgres
from gateway.store.migrate import MIGRATIONS, MigrationError, bootstrap, migrate_at, read_migrations
from tests.conftest import TEMPLATE
from tests.support.supabase_cli import SupabaseCli, cli_program, loopback_port, make_project

pytestmark = pytest.mark.slow

UP_TO_DATE = "Remote database is up to date."
OURS = [migration.version for migration in read_migrations(MIGRATIONS)]
# everything that a migration can make, with its rights and its words
SCHEMA = """
select md5(string_agg(line, E'\\n' order by line)) from (
    select format('%s %s %s %s %s', c.relkind, c.relname, c.relrowsecurity, c.relacl, a.columns)
    from pg_class c left join lateral (
        select string_agg(format('%s %s %s', attname, atttypid::regtype, attnotnull), ',' order by
        attnum) as columns from pg_attribute where attrelid = c.oid and attnum > 0
    ) a on true where c.relnamespace in ('public'::regnamespace, 'private'::regnamespace)
    union all select format('%s %s %s', p.oid::regprocedure, p.proacl, md5(p.prosrc)) from pg_proc p
    where pronamespace in ('public'::regnamespace, 'private'::regnamespace)
    union all select format('%s %s %s %s', tablename, policyname, roles, qual) from pg_policies
    union all select format('%s %s', tgrelid::regclass, tgname) from pg_trigger
    where not tgisinternal
) lines (line)
"""
HISTORY = "select version from supabase_migrations.schema_migrations order by 1"


@pytest.fixture
async def cli(postgres: EmbeddedPostgres, tmp_path: Path) -> AsyncIterator[SupabaseCli]:
    """The tool with our migrations."""
    program, project = cli_program(), make_project(tmp_path / "project", ours=True)
    async with loopback_port(postgres.socket_dir) as port:
        yield SupabaseCli(program, project, port)


@pytest.fixture
async def small(postgres: EmbeddedPostgres, tmp_path: Path) -> AsyncIterator[SupabaseCli]:
    """The tool with two small migrations."""
    program, project = cli_program(), make_project(tmp_path / "small", ours=False)
    async with loopback_port(postgres.socket_dir) as port:
        made = SupabaseCli(program, project, port)
        write(made, "100_first", "create table public.first (id int);")
        write(made, "200_second", "create table public.second (id int);")
        yield made


@pytest.fixture
async def hosted(postgres: EmbeddedPostgres) -> AsyncIterator[str]:
    """Name of a database with the roles and the auth schema of a project, and nothing else."""
    name = f"hosted_{uuid4().hex[:12]}"
    connection = await asyncpg.connect(postgres.dsn("supabase_admin"))
    await connection.execute(f"create database {name}")
    await bootstrap(postgres.socket_dir, database=name)
    yield name
    await connection.execute(f"drop database {name} with (force)")
    await connection.close()


def write(cli: SupabaseCli, name: str, sql: str) -> None:
    (cli.migrations / f"{name}.sql").write_text(sql)


async def ask(postgres: EmbeddedPostgres, database: str, text: str) -> list[Any]:
    connection = await asyncpg.connect(postgres.dsn("supabase_admin", database))
    try:
        return [row[0] for row in await connection.fetch(text)]
    finally:
        await connection.close()


WAITING = """select pid from pg_stat_activity where datname = current_database()
    and wait_event_type = 'Lock' and wait_event = 'advisory'"""


async def until_it_waits(connection: asyncpg.Connection) -> None:
    """Until a migration of its database waits for the lock of the test."""
    while not await connection.fetchval(f"select exists ({WAITING})"):
        await asyncio.sleep(0.05)


async def test_what_the_tool_pushed_is_complete_for_us(
    postgres: EmbeddedPostgres, cli: SupabaseCli, hosted: str
) -> None:
    """All files onto an empty project, as a role that is no superuser; the same schema as ours."""
    pushed = await cli.push(hosted)
    assert (pushed.status, "deprecated and will be removed in v4, use" in pushed.text) == (0, False)
    assert await ask(postgres, hosted, HISTORY) == OURS
    assert await migrate_at(cli.address(hosted)) == []
    schema = await ask(postgres, hosted, SCHEMA)
    assert schema == await ask(postgres, TEMPLATE, SCHEMA)
    again = await cli.push(hosted)
    assert (again.status, UP_TO_DATE in again.text) == (0, True)


async def test_what_we_applied_is_complete_for_the_tool(cli: SupabaseCli, hosted: str) -> None:
    assert await migrate_at(cli.address(hosted)) == OURS
    assert await migrate_at(cli.address(hosted)) == []
    pushed = await cli.push(hosted)
    assert (pushed.status, UP_TO_DATE in pushed.text) == (0, True)


async def test_a_file_older_than_the_newest_is_refused_by_both(
    postgres: EmbeddedPostgres, small: SupabaseCli, hosted: str
) -> None:
    await migrate_at(small.address(hosted), small.migrations)
    write(small, "150_late", "create table public.late (id int);")
    with pytest.raises(MigrationError, match=r"150_late.sql is older"):
        await migrate_at(small.address(hosted), small.migrations)
    refused = await small.push(hosted)
    assert (refused.status, "150_late" in refused.text) == (1, True)
    assert await ask(postgres, hosted, HISTORY) == ["100", "200"]


LOCK = "select pg_advisory_xact_lock(77); create table public.third (id int);"


async def test_ours_goes_on_where_the_tool_was_killed(
    postgres: EmbeddedPostgres, small: SupabaseCli, hosted: str
) -> None:
    """In the middle of a file: nothing of that file is there, and all of those before."""
    write(small, "300_third", f"create table public.half (id int); {LOCK}")
    holder = await asyncpg.connect(postgres.dsn("supabase_admin", hosted))
    await holder.execute("select pg_advisory_lock(77)")
    process = await small.start(hosted)
    await until_it_waits(holder)
    os.killpg(process.pid, signal.SIGKILL)
    await process.communicate()
    # it had sent the whole file: where the server does not see the end, that is applied whole
    await holder.execute(f"select pg_terminate_backend(pid, 10000) from ({WAITING}) waiting")
    assert await ask(postgres, hosted, HISTORY) == ["100", "200"]
    await holder.execute("select pg_advisory_unlock(77)")
    await holder.close()
    assert await migrate_at(small.address(hosted), small.migrations) == ["300"]


MIGRATE = """
import asyncio, sys
from pathlib import Path
from gateway.store.migrate import migrate_at
asyncio.run(migrate_at(sys.argv[1], Path(sys.argv[2])))
"""


async def test_the_tool_goes_on_where_ours_was_killed(
    postgres: EmbeddedPostgres, small: SupabaseCli, hosted: str
) -> None:
    write(small, "300_third", f"create table public.half (id int); {LOCK}")
    holder = await asyncpg.connect(postgres.dsn("supabase_admin", hosted))
    await holder.execute("select pg_advisory_lock(77)")
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        MIGRATE,
        small.address(hosted),
        small.migrations,
        stderr=subprocess.PIPE,
    )
    await until_it_waits(holder)
    process.kill()
    await process.communicate()
    assert await ask(postgres, hosted, HISTORY) == ["100", "200"]
    await holder.execute("select pg_advisory_unlock(77)")
    await holder.close()
    pushed = await small.push(hosted)
    assert (pushed.status, "300_third" in pushed.text) == (0, True)
    assert await ask(postgres, hosted, HISTORY) == ["100", "200", "300"]


async def test_both_at_once_apply_each_file_once(
    postgres: EmbeddedPostgres, small: SupabaseCli, hosted: str
) -> None:
    """Ours comes to a file that the tool is in the middle of: it waits, and goes on after it."""
    write(small, "300_third", f"create table public.half (id int); {LOCK}")
    write(small, "400_fourth", "create table public.fourth (id int);")
    holder = await asyncpg.connect(postgres.dsn("supabase_admin", hosted))
    await holder.execute("select pg_advisory_lock(77)")
    process = await small.start(hosted)
    await until_it_waits(holder)
    ours = asyncio.create_task(migrate_at(small.address(hosted), small.migrations))
    blocked = (
        "select exists (select from pg_locks where not granted and locktype = 'transactionid')"
    )
    while not await holder.fetchval(blocked):
        await asyncio.sleep(0.05)
    await holder.execute("select pg_advisory_unlock(77)")
    await holder.close()
    applied = await ours
    await process.communicate()
    assert "300" not in applied
    assert await ask(postgres, hosted, HISTORY) == ["100", "200", "300", "400"]
    again = await small.push(hosted)
    assert (again.status, UP_TO_DATE in again.text) == (0, True)
