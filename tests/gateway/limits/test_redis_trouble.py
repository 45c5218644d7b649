"""A real Redis that is killed, hung, slowed, restarted and flushed: never a call too many."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress

import pytest

from gateway.limits.redis import RedisLimiter
from gateway.limits.redis_membership import StoreUnfitError
from gateway.limits.types import Charge, Limit, LimitsUnavailableError, Window
from tests.support.limiters import PATIENT, Database, alone, gateway, joined
from tests.support.redis_server import RedisServer, redis_server

DAY = (Limit("tenant:t", Window.DAY, 100),)
CHARGE = Charge("t", 10)


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with redis_server() as started:
        yield started


async def admitted(limiter: RedisLimiter, calls: int) -> int:
    """How many of so many calls at once."""

    async def one() -> bool:
        try:
            return (await limiter.admit(DAY)).admitted
        except LimitsUnavailableError:
            return False

    return sum(await asyncio.gather(*(one() for _ in range(calls))))


async def test_killed_and_started_again_it_admits_what_was_left(server: RedisServer) -> None:
    async with gateway(server.url) as limiter:
        assert await admitted(limiter, 60) == 60
        server.kill()
        await alone(limiter)
        decision = await limiter.admit(DAY)
        assert (decision.admitted, decision.degraded, decision.states) == (True, True, ())
        assert await admitted(limiter, 30) == 30
        server.start()
        await joined(limiter)
        assert not (await limiter.admit(DAY)).degraded
        assert 0 < await admitted(limiter, 100) <= 8


async def test_alone_it_refuses_at_the_limit_and_says_until_when(server: RedisServer) -> None:
    async with gateway(server.url) as limiter:
        assert await admitted(limiter, 100) == 100
        server.kill()
        await alone(limiter)
        decision = await limiter.admit(DAY)
        assert not decision.admitted
        assert 86_300 < decision.retry_after <= 88_000


async def test_hung_it_decides_alone_and_pays_when_it_is_back(server: RedisServer) -> None:
    async with gateway(server.url) as limiter:
        assert await admitted(limiter, 60) == 60
        server.hang()
        assert await admitted(limiter, 30) == 30
        server.resume()
        total = 90
        await joined(limiter)
        total += await admitted(limiter, 100)
        assert 90 < total <= 100


async def test_every_call_hung_with_the_store_is_counted_once_or_refused(
    server: RedisServer,
) -> None:
    async with gateway(server.url) as limiter:
        total = await admitted(limiter, 50)
        server.hang()
        for _ in range(4):  # the first ones wait for the store, the last ones do not any more
            total += await admitted(limiter, 10)
        await alone(limiter)
        server.resume()
        await joined(limiter)
        total += await admitted(limiter, 100)
        assert total <= 100


async def test_paused_for_a_while_it_comes_back_by_itself(server: RedisServer) -> None:
    async with gateway(server.url) as limiter:
        total = await admitted(limiter, 50)
        with server.client() as client:
            client.execute_command("CLIENT", "PAUSE", "300", "ALL")
            total += await admitted(limiter, 10)
        await joined(limiter)
        total += await admitted(limiter, 100)
        assert 60 < total <= 100


async def test_a_store_that_is_always_slow_is_not_waited_for(server: RedisServer) -> None:
    async with slowed(server, 0.06) as url, gateway(url) as limiter:
        assert limiter.degraded
        decision = await limiter.admit([Limit("key:k", Window.DAY, 5)])
        assert (decision.admitted, decision.degraded) == (True, True)


async def test_flushed_it_remembers_what_the_gateways_know(server: RedisServer) -> None:
    async with (
        gateway(server.url, gateways=2, failure="deny", patience=PATIENT) as one,
        gateway(server.url, gateways=2, failure="deny", patience=PATIENT) as other,
    ):
        assert await admitted(one, 30) + await admitted(other, 30) == 60
        server.flush()
        total = await admitted(one, 1) + await admitted(other, 1)
        assert total == 0  # both have found out
        total = 60
        await joined(one)
        await joined(other)
        total += await admitted(one, 100) + await admitted(other, 100)
        assert total == 100


async def test_lost_memory_comes_back_from_the_database(server: RedisServer) -> None:
    database = Database()
    async with gateway(server.url, database=database) as limiter:
        await limiter.admit(DAY)
        bucket = int((await now(server)) // 1440)
        database.rows = [
            {"subject": "tenant:t", "window": "day", "bucket": bucket - 2, "count": 70},
            {"subject": "tenant:t", "window": "day", "bucket": bucket - 70, "count": 99},
        ]
        server.flush()
        await limiter.admit(DAY)  # finds out
        await joined(limiter)
        assert (await limiter.usage_of(DAY))[0].remaining in (29, 30)


async def test_what_was_admitted_alone_and_is_in_the_database_counts_once(
    server: RedisServer,
) -> None:
    database = Database()
    async with gateway(server.url, database=database, patience=PATIENT) as limiter:
        total = await admitted(limiter, 30)
        server.kill()
        await alone(limiter)
        total += await admitted(limiter, 20)
        bucket = int(time.time() // 1440)
        row = {"subject": "tenant:t", "window": "day", "bucket": bucket, "count": total}
        database.rows = [row]
        server.start()
        await joined(limiter)
        assert total + await admitted(limiter, 100) == 100


async def test_a_new_gateway_brings_what_a_dead_one_admitted_alone(server: RedisServer) -> None:
    bucket = int((await now(server)) // 1440)
    database = Database([{"subject": "tenant:t", "window": "day", "bucket": bucket, "count": 40}])
    async with gateway(server.url, patience=PATIENT) as first:
        await first.admit(DAY)
        async with gateway(server.url, database=database):
            assert (await first.usage_of(DAY))[0].remaining == 60


async def test_without_a_store_from_the_start_the_database_tells(server: RedisServer) -> None:
    bucket = int((await now(server)) // 1440)
    server.kill()
    database = Database([{"subject": "tenant:t", "window": "day", "bucket": bucket, "count": 95}])
    async with gateway(server.url, database=database) as limiter:
        assert limiter.degraded
        assert await admitted(limiter, 100) == 5
        server.start()
        await joined(limiter)
        assert await admitted(limiter, 100) == 0


async def test_of_several_gateways_each_has_its_part_while_alone(server: RedisServer) -> None:
    async with gateway(server.url, gateways=4, failure="estimate", patience=PATIENT) as limiter:
        assert await admitted(limiter, 20) == 20
        server.kill()
        await alone(limiter)
        assert await admitted(limiter, 100) == 20


async def test_a_limit_that_must_hold_denies_instead(server: RedisServer) -> None:
    async with gateway(server.url, failure="share,tenant=deny", patience=PATIENT) as limiter:
        await limiter.admit(DAY)
        server.kill()
        await alone(limiter)
        with pytest.raises(LimitsUnavailableError):
            await limiter.admit(DAY)
        assert (await limiter.admit([Limit("key:k", Window.DAY, 5)])).admitted


async def test_a_price_is_never_reserved_without_the_store(server: RedisServer) -> None:
    async with gateway(server.url) as limiter:
        await limiter.set_credit("t", 100, 0)
        assert (await limiter.admit(DAY, CHARGE)).admitted
        server.hang()
        while not limiter.degraded:
            with pytest.raises(LimitsUnavailableError):
                await limiter.admit(DAY, CHARGE)
        with pytest.raises(LimitsUnavailableError):
            await limiter.admit((), CHARGE)
        server.resume()
        await joined(limiter)
        with server.client() as client:  # the late answer was given back
            assert client.hget("{sandgate}credit:t", "s") == "10"


async def test_after_a_loss_a_balance_is_loaded_again(server: RedisServer) -> None:
    async with gateway(server.url) as limiter:
        await limiter.set_credit("t", 100, 0)
        server.flush()
        with pytest.raises(LimitsUnavailableError):
            await limiter.admit((), CHARGE)
        await joined(limiter)
        assert (await limiter.admit((), CHARGE)).unknown_credit


async def test_scripts_that_were_forgotten_are_sent_again(server: RedisServer) -> None:
    async with gateway(server.url, patience=PATIENT) as limiter:
        assert await admitted(limiter, 10) == 10
        with server.client() as client:
            client.script_flush()
        assert await admitted(limiter, 100) == 90
        assert limiter.degraded is None


async def test_a_cluster_is_refused(server: RedisServer) -> None:
    server.kill()
    server.start("--cluster-enabled", "yes")
    with pytest.raises(StoreUnfitError, match="Cluster"):
        async with gateway(server.url):
            pass


async def test_a_server_that_drops_counters_is_refused(server: RedisServer) -> None:
    server.kill()
    server.start("--maxmemory", "100mb", "--maxmemory-policy", "volatile-lru")
    with pytest.raises(StoreUnfitError, match="noeviction"):
        async with gateway(server.url):
            pass


async def test_full_it_is_as_if_it_were_away_and_the_limit_holds(server: RedisServer) -> None:
    async with gateway(server.url) as limiter:
        total = await admitted(limiter, 50)
        with server.client() as client:
            client.config_set("maxmemory", 1)
            total += await admitted(limiter, 30)
            assert limiter.degraded is not None
            client.config_set("maxmemory", 0)
        await joined(limiter)
        assert 80 < total + await admitted(limiter, 100) <= 100


async def test_a_wrong_password_is_refused_and_not_told(server: RedisServer) -> None:
    server.kill()
    server.start("--requirepass", "right")
    with pytest.raises(StoreUnfitError) as caught:
        async with gateway(f"unix://:wrong-one@{server.socket}"):
            pass
    assert "wrong-one" not in str(caught.value)


async def test_counters_vanish_by_themselves(server: RedisServer) -> None:
    async with gateway(server.url) as limiter:
        await limiter.admit([Limit("key:k", window, 5) for window in Window])
        with server.client() as client:
            lives = {key: client.ttl(key) for key in client.keys("{sandgate}*:key:k")}
            sizes = [client.strlen(key) for key in lives]
    assert {round(life, -1) for life in lives.values()} == {60, 3720, 89_280}
    assert sizes == [260, 260, 260]


@asynccontextmanager
async def slowed(server: RedisServer, seconds: float) -> AsyncIterator[str]:
    """A way to the server on which every answer takes so long."""
    path = server.socket.parent / "slow.sock"
    served: set[asyncio.Task[None] | None] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.add(asyncio.current_task())
        inner_reader, inner_writer = await asyncio.open_unix_connection(server.socket)
        with suppress(OSError):
            while piece := await reader.read(65_536):
                inner_writer.write(piece)
                answer = await inner_reader.read(65_536)
                await asyncio.sleep(seconds)
                writer.write(answer)
        inner_writer.close()
        writer.close()

    async with await asyncio.start_unix_server(serve, path):
        yield f"unix://{path}"
    await asyncio.gather(*filter(None, served))


async def now(server: RedisServer) -> float:
    """The store's clock."""
    with server.client() as client:
        return float(client.time()[0])


async def test_who_may_not_be_decided_alone_waits_while_the_store_may_come_back(
    server: RedisServer,
) -> None:
    async with gateway(server.url, failure="deny", patience=0.4) as limiter:
        await limiter.set_credit("t", 100, 0)
        with server.client() as client:
            client.execute_command("CLIENT", "PAUSE", "600", "ALL")
            calls = [limiter.admit(DAY), limiter.admit(DAY, CHARGE)]
            decisions = await asyncio.gather(*calls)
        assert [(d.admitted, d.degraded) for d in decisions] == [(True, False)] * 2
        assert (await limiter.usage_of(DAY))[0].remaining == 98
