"""The direct connection: outcomes, timeouts, and life after the server's death."""

import asyncio
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from gateway.store.database import ANONYMOUS, SERVICE, DatabaseError, DatabaseUnavailableError
from gateway.store.embedded import EmbeddedPostgres
from gateway.store.migrate import migrate
from gateway.store.postgres import PostgresDatabase


@pytest.fixture
async def mortal() -> AsyncIterator[EmbeddedPostgres]:
    """A server of this test's own, to be killed."""
    folder = Path(tempfile.mkdtemp(prefix="sgm-"))
    server = EmbeddedPostgres(folder, settings={"fsync": "off"})
    await server.start()
    await migrate(server.socket_dir)
    yield server
    await server.stop()
    shutil.rmtree(folder)


async def kill(server: EmbeddedPostgres) -> None:
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)
    await server.wait_exit()


async def test_after_a_crash_calls_fail_clearly_and_then_work_again(
    mortal: EmbeddedPostgres,
) -> None:
    async with await PostgresDatabase.connect(mortal.socket_dir, seconds=5) as store:
        await asyncio.gather(*(store.select("plans", identity=SERVICE) for _ in range(8)))
        await kill(mortal)
        for identity in (SERVICE, ANONYMOUS):
            with pytest.raises(DatabaseUnavailableError) as caught:
                await store.select("plans", identity=identity)
            assert caught.value.status == 503
            assert "Retry-After" in caught.value.headers
        await mortal.start()
        answers = await asyncio.gather(
            *(store.select("plans", identity=SERVICE) for _ in range(16))
        )
        assert all(len(rows) == 3 for rows in answers)


async def test_calls_under_way_when_the_server_dies_fail_clearly(
    mortal: EmbeddedPostgres, function: None
) -> None:
    async with await PostgresDatabase.connect(mortal.socket_dir, seconds=30) as store:
        under_way = asyncio.create_task(store.rpc("wait_long", {}, identity=SERVICE))
        await started(mortal)
        await kill(mortal)
        with pytest.raises(DatabaseUnavailableError):
            await under_way


async def test_a_store_may_be_opened_before_the_server(mortal: EmbeddedPostgres) -> None:
    await mortal.stop()
    async with await PostgresDatabase.connect(mortal.socket_dir) as store:
        with pytest.raises(DatabaseUnavailableError):
            await store.select("plans", identity=SERVICE)
        await mortal.start()
        assert len(await store.select("plans", identity=SERVICE)) == 3


async def test_a_statement_that_takes_too_long_is_ended(
    mortal: EmbeddedPostgres, function: None
) -> None:
    async with await PostgresDatabase.connect(mortal.socket_dir, seconds=0.2) as store:
        with pytest.raises(DatabaseUnavailableError):
            await store.rpc("wait_long", {}, identity=SERVICE)
        assert len(await store.select("plans", identity=SERVICE)) == 3


async def test_waiting_for_a_free_connection_has_a_deadline(
    mortal: EmbeddedPostgres, function: None
) -> None:
    async with await PostgresDatabase.connect(
        mortal.socket_dir, seconds=0.5, connections=1
    ) as store:
        await store.select("plans", identity=SERVICE)
        calls = [store.rpc("wait_long", {}, identity=SERVICE) for _ in range(4)]
        answers = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(answer) for answer in answers] == [DatabaseUnavailableError] * 4


async def test_a_cancelled_call_leaves_the_store_usable(
    mortal: EmbeddedPostgres, function: None
) -> None:
    async with await PostgresDatabase.connect(mortal.socket_dir, connections=1) as store:
        under_way = asyncio.create_task(store.rpc("wait_long", {}, identity=SERVICE))
        await started(mortal)
        under_way.cancel()
        with pytest.raises(asyncio.CancelledError):
            await under_way
        assert len(await store.select("plans", identity=SERVICE)) == 3


@pytest.fixture
async def function(mortal: EmbeddedPostgres) -> None:
    """A function that takes longer than any test."""
    await run(
        mortal,
        "create function public.wait_long() returns void language sql as"
        " 'select pg_sleep(60)'; grant execute on function public.wait_long to service_role;",
    )


async def run(server: EmbeddedPostgres, command: str) -> None:
    connection = await asyncpg.connect(server.dsn("postgres"))
    await connection.execute(command)
    await connection.close()


async def started(server: EmbeddedPostgres) -> None:
    """Return once `wait_long` runs."""
    asked = (
        "select count(*) from pg_stat_activity"
        " where wait_event = 'PgSleep' and pid <> pg_backend_pid()"
    )
    connection = await asyncpg.connect(server.dsn("supabase_admin"))
    async with asyncio.timeout(20):
        while not await connection.fetchval(asked):
            await asyncio.sleep(0.01)
    await connection.close()


async def test_the_store_works_as_authenticator_and_leaves_no_superuser_session(
    database: PostgresDatabase, owner: asyncpg.Connection
) -> None:
    await database.select("plans", identity=SERVICE)
    rows = await owner.fetch(
        "select usename from pg_stat_activity where application_name = 'sandgate'"
        " and datname = current_database()"
    )
    assert {row["usename"] for row in rows} == {"authenticator"}


async def test_void_and_row_sets_and_composites(
    database: PostgresDatabase, owner: asyncpg.Connection
) -> None:
    await owner.execute(
        """
        create function public.nothing() returns void language sql as 'select';
        create function public.numbers(upto int) returns setof int language sql
            as 'select generate_series(1, upto)';
        create function public.all_plans() returns setof public.plans language sql
            as 'select * from public.plans order by name';
        create function public.names(text[]) returns text language sql as 'select $1[2]';
        """
    )
    assert await database.rpc("nothing", {}, identity=SERVICE) is None
    rows = await database.rpc("all_plans", {}, identity=SERVICE)
    assert [row["name"] for row in rows] == ["enterprise", "free", "pro"]
    assert len(await database.rpc("numbers", {"upto": 2000}, identity=SERVICE)) == 1000


async def test_refusals_without_detail_still_render(
    database: PostgresDatabase, owner: asyncpg.Connection
) -> None:
    await owner.execute(
        "create function public.refuse_call() returns void language plpgsql as"
        " $$begin raise 'no_credit' using errcode = 'PT402'; end$$"
    )
    with pytest.raises(DatabaseError) as caught:
        await database.rpc("refuse_call", {}, identity=SERVICE)
    error = caught.value
    assert (error.status, error.code, error.detail) == (402, "no_credit", "Payment Required")
