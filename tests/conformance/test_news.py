"""One suite over every way by which a change reaches the caches of a gateway."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncpg
import pytest

from gateway.store import generations
from gateway.store.changes import Changes
from gateway.store.database import Database
from gateway.store.embedded import EmbeddedPostgres
from gateway.store.news_redis import CHANNEL, RedisNews
from tests.support.redis_server import RedisServer, redis_server
from tests.support.waiting import until

Heard = list[tuple[str, str]]
WAYS = ("within", "listen", "redis")


@dataclass(slots=True)
class Way:
    """`tell` makes a change somewhere; `changes` hears of it; `garble` sends nonsense."""

    changes: Changes
    tell: Callable[[str, str], Awaitable[None]]
    garble: Callable[[], Awaitable[None]]
    heard: Heard


@asynccontextmanager
async def following(url: str, read: Callable[[], Awaitable[int]]) -> AsyncIterator[Changes]:
    """A gateway that hears of changes over Redis alone."""
    news = RedisNews(url, retry_seconds=0.02)
    async with Changes(None, read=read, news=news, poll_seconds=600) as changes:
        async with asyncio.timeout(20):
            await news.subscribed.wait()
        yield changes


@pytest.fixture(params=WAYS)
async def way(
    request: pytest.FixtureRequest,
    postgres: EmbeddedPostgres,
    database_name: str,
    database: Database,
    owner: asyncpg.Connection,
    shared_redis: RedisServer,
) -> AsyncIterator[Way]:
    """Each of them."""
    heard: Heard = []

    async def read() -> int:
        return await generations.current(database)

    async def announce(kind: str, identifier: str) -> None:
        await owner.execute("select private.announce($1, $2)", kind, identifier)

    async def notify() -> None:
        await owner.execute("select pg_notify('sandgate_changes', 'nonsense')")

    async def publish() -> None:
        with shared_redis.client() as client:
            client.publish(CHANNEL, "nonsense")

    if request.param == "redis":
        url = shared_redis.url
        async with following(url, read) as changes, following(url, read) as other:
            yield _way(changes, _publisher(other), publish, heard)
        return
    async with Changes(
        postgres.socket_dir, database=database_name, read=read, poll_seconds=600
    ) as changes:
        if request.param == "listen":
            yield _way(changes, announce, notify, heard)
        else:
            yield _way(changes, _publisher(changes), notify, heard)


def _publisher(changes: Changes) -> Callable[[str, str], Awaitable[None]]:
    async def tell(kind: str, identifier: str) -> None:
        changes.publish(kind, identifier)

    return tell


def _way(
    changes: Changes,
    tell: Callable[[str, str], Awaitable[None]],
    garble: Callable[[], Awaitable[None]],
    heard: Heard,
) -> Way:
    changes.subscribe(lambda kind, identifier: heard.append((kind, identifier)))
    return Way(changes, tell, garble, heard)


async def test_changes_arrive_in_their_order(way: Way) -> None:
    told = [("key", str(number)) for number in range(20)]
    for kind, identifier in told:
        await way.tell(kind, identifier)
    await until(lambda: way.heard == told)


async def test_a_subscriber_that_fails_keeps_nobody_else_stale(way: Way) -> None:
    def fail(_kind: str, _identifier: str) -> None:
        raise RuntimeError("subscriber broke")

    way.changes.subscribe(fail)
    late: Heard = []
    way.changes.subscribe(lambda kind, identifier: late.append((kind, identifier)))
    await way.tell("api", "1")
    await until(lambda: late == [("api", "1")] == way.heard)


async def test_what_cannot_be_read_counts_as_everything(way: Way) -> None:
    await way.garble()
    await until(lambda: way.heard == [("all", "")])


async def test_identifiers_pass_as_they_are(way: Way) -> None:
    strange = json.dumps("quoted ' \" \n \\ ünïcode")
    await way.tell("plan", strange)
    await until(lambda: way.heard == [("plan", strange)])


async def test_a_redis_that_dies_loses_speed_and_nothing_else(database: Database) -> None:
    """What was told while it was away is found by the generation; then news arrive again."""
    heard: Heard = []

    async def read() -> int:
        return await generations.current(database)

    with redis_server() as server:
        mine, theirs = (RedisNews(server.url, retry_seconds=0.02) for _ in range(2))
        async with (
            Changes(None, read=read, news=mine, poll_seconds=0.05) as changes,
            Changes(None, read=read, news=theirs, poll_seconds=600) as other,
        ):
            changes.subscribe(lambda kind, identifier: heard.append((kind, identifier)))
            await asyncio.gather(mine.subscribed.wait(), theirs.subscribed.wait())
            server.kill()
            await until(lambda: not mine.subscribed.is_set())
            other.publish("key", "lost")
            await generations.forget_all(database)
            await until(lambda: heard == [("all", "")])
            heard.clear()
            server.start()
            await until(lambda: mine.subscribed.is_set() and ("all", "") in heard)

            async def told() -> None:
                while ("key", "heard") not in heard:
                    other.publish("key", "heard")
                    await asyncio.sleep(0.02)

            await asyncio.wait_for(told(), 20)


async def test_what_is_no_text_at_all_ends_nothing(
    database: Database, shared_redis: RedisServer
) -> None:
    heard: Heard = []

    async def read() -> int:
        return await generations.current(database)

    async with (
        following(shared_redis.url, read) as changes,
        following(shared_redis.url, read) as other,
    ):
        changes.subscribe(lambda kind, identifier: heard.append((kind, identifier)))
        with shared_redis.client() as client:
            client.publish(CHANNEL, b"\xff")
        await until(lambda: ("all", "") in heard)

        async def told() -> None:
            while ("key", "heard") not in heard:
                other.publish("key", "heard")
                await asyncio.sleep(0.02)

        await asyncio.wait_for(told(), 20)


async def test_who_listens_to_the_database_needs_no_hints(
    postgres: EmbeddedPostgres, database_name: str, database: Database, shared_redis: RedisServer
) -> None:
    heard: Heard = []

    async def read() -> int:
        return await generations.current(database)

    news = RedisNews(shared_redis.url, retry_seconds=0.02)
    async with (
        Changes(postgres.socket_dir, database=database_name, read=read, news=news) as changes,
        following(shared_redis.url, read) as other,
        following(shared_redis.url, read) as third,
    ):
        changes.subscribe(lambda kind, identifier: heard.append((kind, identifier)))
        seen: Heard = []
        third.subscribe(lambda kind, identifier: seen.append((kind, identifier)))
        await news.subscribed.wait()
        other.publish("key", "1")
        await until(lambda: seen == [("key", "1")])
        await generations.forget_all(database)
        await until(lambda: heard == [("all", "")])
