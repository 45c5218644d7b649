"""No change is silently lost: its number rises in the order of commits, and gaps are noticed."""

import asyncio
import json
from collections.abc import AsyncIterator

import asyncpg
import pytest

from gateway.store import generations
from gateway.store.changes import Changes
from gateway.store.database import SERVICE, Database
from gateway.store.embedded import EmbeddedPostgres
from tests.support.factories import make_api, make_user
from tests.support.waiting import until

Heard = list[tuple[str, str]]


class Deaf(Changes):
    """Loses every notification while `is_deaf`."""

    is_deaf = False

    def _received(self, *arguments: object) -> None:
        if not self.is_deaf:
            super()._received(*arguments)  # type: ignore[arg-type]


@pytest.fixture
async def changes(
    postgres: EmbeddedPostgres, database_name: str, database: Database
) -> AsyncIterator[Deaf]:
    async with Deaf(
        postgres.socket_dir,
        database=database_name,
        read=lambda: generations.current(database),
        poll_seconds=0.05,
        grace_seconds=0.1,
    ) as opened:
        yield opened


@pytest.fixture
def heard(changes: Deaf) -> Heard:
    received: Heard = []
    changes.subscribe(lambda kind, identifier: received.append((kind, identifier)))
    return received


async def announce(connection: asyncpg.Connection, identifier: str = "x") -> None:
    await connection.execute("select private.announce('api', $1)", identifier)


async def test_a_change_raises_the_generation_with_its_own_transaction(
    database: Database, owner: asyncpg.Connection
) -> None:
    before = await generations.current(database)
    async with owner.transaction():
        await announce(owner)
        await announce(owner)
        assert await generations.current(database) == before
    assert await generations.current(database) == before + 1
    assert await owner.fetchval("select count(*) from private.announcements") == 0


async def test_what_is_rolled_back_raises_nothing(
    database: Database, owner: asyncpg.Connection
) -> None:
    before = await generations.current(database)
    transaction = owner.transaction()
    await transaction.start()
    await announce(owner)
    await transaction.rollback()
    assert await generations.current(database) == before


async def test_numbers_follow_the_order_of_commits_and_nobody_waits_before(
    owner: asyncpg.Connection, dsn: str
) -> None:
    numbers: list[tuple[str, int]] = []

    def note(*received: object) -> None:
        change = json.loads(str(received[3]))
        numbers.append((change["id"], change["generation"]))

    await owner.add_listener("sandgate_changes", note)
    first, second = await asyncpg.connect(dsn), await asyncpg.connect(dsn)
    try:
        earlier, later = first.transaction(), second.transaction()
        await earlier.start()
        await announce(first, "began first")
        await later.start()
        async with asyncio.timeout(10):
            await announce(second, "committed first")
            await later.commit()
        await earlier.commit()
        await until(lambda: len(numbers) == 2)
    finally:
        await first.close()
        await second.close()
    assert [name for name, _ in numbers] == ["committed first", "began first"]
    assert numbers[0][1] + 1 == numbers[1][1]


async def test_every_kind_of_change_is_numbered(
    changes: Deaf, heard: Heard, database: Database, dsn: str
) -> None:
    before = changes.generation
    api = await make_api(database, (await make_user(dsn)).tenant_id)
    await database.rpc("revoke_key", {"p_key_id": api.key.id}, identity=SERVICE)
    now = await generations.current(database)
    await until(lambda: changes.generation == now)
    assert now > before
    assert ("key", api.key.id) in heard
    assert ("all", "") not in heard


async def test_a_lost_message_is_caught_by_the_poll(
    changes: Deaf, heard: Heard, owner: asyncpg.Connection, database: Database
) -> None:
    changes.is_deaf = True
    await announce(owner)
    await until(lambda: heard == [("all", "")])
    assert changes.generation == await generations.current(database)


async def test_a_gap_is_noticed_with_the_next_message(
    postgres: EmbeddedPostgres, database_name: str, database: Database, owner: asyncpg.Connection
) -> None:
    received: Heard = []
    async with Deaf(
        postgres.socket_dir,
        database=database_name,
        read=lambda: generations.current(database),
        poll_seconds=600,
    ) as changes:
        changes.subscribe(lambda kind, identifier: received.append((kind, identifier)))
        changes.is_deaf = True
        await announce(owner, "lost")
        lost = await generations.current(database)
        await _told(changes, postgres, database_name, owner)
        changes.is_deaf = False
        await announce(owner, "next")
        await until(lambda: changes.generation > lost)
    # and what the message itself names is not only distrusted, but known to have changed
    assert received == [("all", ""), ("api", "next")]


async def _told(
    changes: Deaf, postgres: EmbeddedPostgres, database_name: str, owner: asyncpg.Connection
) -> None:
    """Until the listener has been sent all that there was: its own connection says so."""
    seen: Heard = []
    async with Changes(postgres.socket_dir, database=database_name) as other:
        other.subscribe(lambda kind, identifier: seen.append((kind, identifier)))
        await owner.execute('select pg_notify(\'sandgate_changes\', \'{"kind":"api","id":""}\')')
        await until(lambda: bool(seen))
    assert changes.is_deaf


async def test_messages_that_arrive_are_no_reason_to_forget_everything(
    changes: Deaf, heard: Heard, owner: asyncpg.Connection, database: Database
) -> None:
    for number in range(50):
        await announce(owner, str(number))
    now = await generations.current(database)
    await until(lambda: changes.generation == now)
    assert heard == [("api", str(number)) for number in range(50)]


async def test_without_listen_the_poll_alone_tells(
    owner: asyncpg.Connection, database: Database
) -> None:
    received: Heard = []
    async with Changes(
        None, read=lambda: generations.current(database), poll_seconds=0.05
    ) as changes:
        changes.subscribe(lambda kind, identifier: received.append((kind, identifier)))
        await announce(owner)
        await until(lambda: received == [("all", "")])
        assert changes.listening


async def test_a_database_from_a_backup_counts_as_a_change(
    changes: Deaf, heard: Heard, owner: asyncpg.Connection
) -> None:
    await announce(owner)
    await until(lambda: bool(heard))
    await owner.execute("update private.generation set value = 0")
    await until(lambda: ("all", "") in heard)
    assert changes.generation == 0


async def test_workers_report_and_leave(database: Database) -> None:
    at = "2026-11-22T00:00:00+00:00"
    for number in (1, 2):
        one = generations.Report(f"w{number}", "node", f"gateway-{number}", 7, at, at, 5, 3, {})
        assert await generations.report(database, one) == await generations.current(database)
    found = await generations.workers(database)
    assert [each["name"] for each in found["workers"]] == ["gateway-1", "gateway-2"]
    assert found["workers"][0]["in_flight"] == 3
    await generations.left(database, "w1")
    found = await generations.workers(database)
    assert [each["id"] for each in found["workers"]] == ["w2"]


async def test_routes_are_read_page_by_page(database: Database, dsn: str) -> None:
    tenant = (await make_user(dsn)).tenant_id
    made = sorted([(await make_api(database, tenant)).id for _ in range(3)])
    first = await generations.routes_after(database, None, 2)
    rest = await generations.routes_after(database, first[-1]["id"], 2)
    assert [each["id"] for each in first + rest] == made
    assert all(each["route"]["api_id"] == each["id"] for each in first + rest)
