"""Changes reach caches: at once from here, by notification from elsewhere, never silently lost."""

import asyncio
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from gateway.store.changes import Changes
from gateway.store.database import SERVICE, Database
from gateway.store.embedded import EmbeddedPostgres
from gateway.store.migrate import migrate
from tests.support.factories import make_api, make_user
from tests.support.waiting import until

Heard = list[tuple[str, str]]


@pytest.fixture
async def changes(postgres: EmbeddedPostgres, database_name: str) -> AsyncIterator[Changes]:
    async with Changes(postgres.socket_dir, database=database_name) as opened:
        yield opened


@pytest.fixture
def heard(changes: Changes) -> Heard:
    received: Heard = []
    changes.subscribe(lambda kind, identifier: received.append((kind, identifier)))
    return received


def test_publishing_reaches_every_subscriber_before_it_returns(tmp_path: Path) -> None:
    changes, received = Changes(tmp_path), Heard()
    for _ in range(2):
        changes.subscribe(lambda kind, identifier: received.append((kind, identifier)))
    changes.publish("api", "1")
    assert received == [("api", "1")] * 2


def test_a_failing_subscriber_does_not_keep_the_others_stale(tmp_path: Path) -> None:
    changes, received = Changes(tmp_path), Heard()

    def fail(_kind: str, _identifier: str) -> None:
        raise RuntimeError("subscriber broke")

    changes.subscribe(fail)
    changes.subscribe(lambda kind, identifier: received.append((kind, identifier)))
    changes.publish("key", "2")
    assert received == [("key", "2")]


async def test_a_change_by_another_process_arrives(
    changes: Changes, heard: Heard, database: Database, dsn: str
) -> None:
    api = await make_api(database, (await make_user(dsn)).tenant_id)
    await until(lambda: ("api", api.id) in heard and ("key", api.key.id) in heard)
    heard.clear()
    await database.rpc("revoke_key", {"p_key_id": api.key.id}, identity=SERVICE)
    await until(lambda: ("key", api.key.id) in heard)


async def test_what_cannot_be_read_counts_as_everything(
    changes: Changes, heard: Heard, owner: asyncpg.Connection
) -> None:
    for payload in ("", "no json", "[]", '{"kind":"api"}', "3"):
        await owner.execute("select pg_notify('sandgate_changes', $1)", payload)
    await until(lambda: len(heard) == 5)
    assert set(heard) == {("all", "")}


async def test_the_first_connection_announces_nothing(changes: Changes, heard: Heard) -> None:
    assert changes.listening
    assert heard == []


async def test_after_a_lost_connection_everything_counts_as_changed(
    postgres: EmbeddedPostgres, database_name: str, heard: Heard
) -> None:
    admin = await asyncpg.connect(postgres.dsn("supabase_admin"))
    await admin.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity"
        " where datname = $1 and usename = 'authenticator'",
        database_name,
    )
    await admin.close()
    await until(lambda: heard == [("all", "")])


async def test_a_driver_that_loses_track_is_a_lost_connection(
    postgres: EmbeddedPostgres, database_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    received = Heard()
    connect, failures = asyncpg.connect, [asyncpg.InternalClientError("as asked")]

    async def connect_later(**address: Any) -> asyncpg.Connection:
        if failures:
            raise failures.pop()
        return await connect(**address)

    monkeypatch.setattr(asyncpg, "connect", connect_later)
    async with Changes(postgres.socket_dir, database=database_name, retry_seconds=0.01) as changes:
        changes.subscribe(lambda kind, identifier: received.append((kind, identifier)))
        assert changes.listening


async def test_killed_servers_are_survived_again_and_again() -> None:
    folder = Path(tempfile.mkdtemp(prefix="sgl-"))
    server, received = EmbeddedPostgres(folder, settings={"fsync": "off"}), Heard()
    try:
        await server.start()
        await migrate(server.socket_dir)
        async with Changes(server.socket_dir) as changes:
            changes.subscribe(lambda kind, identifier: received.append((kind, identifier)))
            for _ in range(2):
                assert server.pid is not None
                os.kill(server.pid, signal.SIGKILL)
                await server.wait_exit()
                await until(lambda: not changes.listening)
                received.clear()
                await server.start()
                await until(lambda: changes.listening)
                assert received == [("all", "")]
    finally:
        await server.stop()
        shutil.rmtree(folder)


async def test_leaving_ends_the_connection(
    postgres: EmbeddedPostgres, database_name: str, owner: asyncpg.Connection
) -> None:
    async with Changes(postgres.socket_dir, database=database_name):
        pass
    listeners = 1
    async with asyncio.timeout(20):
        while listeners:
            listeners = await owner.fetchval(
                "select count(*) from pg_stat_activity where datname = current_database()"
                " and usename = 'authenticator'"
            )
