"""Redis killed, hung, slowed, restarted and flushed under load: calls go on, the state is told.

Limits here are wide, so whatever is not answered with 200 was refused because of the trouble.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest

from tests.campaigns import redis_in_use
from tests.campaigns.conftest import Note
from tests.campaigns.redis_in_use import READY_SECONDS
from tests.journeys import apps
from tests.support.engines import require
from tests.support.installation import Installation, installation
from tests.support.redis_server import RedisServer

pytestmark = [pytest.mark.campaign, pytest.mark.timeout(900)]

CALLERS = 8
AWAY = ("killed", "hung", "slowed")  # long enough that answers have to say so
SLOWEST_SECONDS = 5.0  # of calls that met the trouble first, also on a busy machine


@dataclass(slots=True)
class Seen:
    """What callers saw of one trouble."""

    statuses: Counter[int] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)
    broken: int = 0
    degraded: int = 0  # answers that said that the limits were decided without the store
    seconds: list[float] = field(default_factory=list)

    def worst_ms(self) -> float:
        """The slowest call."""
        return round(max(self.seconds) * 1000, 1)


@asynccontextmanager
async def under_load(client: aiohttp.ClientSession, path: str) -> AsyncIterator[Seen]:
    """Callers in a closed loop for as long as the context lasts."""
    seen, stop = Seen(), asyncio.Event()

    async def call() -> None:
        while not stop.is_set():
            begin = time.perf_counter()
            try:
                async with client.get(path) as answer:
                    body = await answer.json(content_type=None)
            except aiohttp.ClientError:
                seen.broken += 1
                continue
            seen.seconds.append(time.perf_counter() - begin)
            seen.statuses[answer.status] += 1
            seen.degraded += answer.headers.get("x-sandgate-limits") == "degraded"
            if answer.status != 200:
                seen.codes[body["code"]] += 1
                await asyncio.sleep(0.02)

    callers = [asyncio.create_task(call()) for _ in range(CALLERS)]
    try:
        yield seen
    finally:
        stop.set()
        await asyncio.gather(*callers)


class Slow:
    """A way to Redis through which every answer takes its time; what the gateway is told of."""

    def __init__(self, redis: RedisServer) -> None:
        self._redis = redis
        self.path: Path = redis.socket.parent / "slow.sock"
        self.delay = 0.0
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> "Slow":
        self._server = await asyncio.start_unix_server(self._serve, self.path)
        self.path.chmod(0o777)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            inner = await asyncio.open_unix_connection(self._redis.socket)
        except OSError:
            writer.transport.abort()
            return
        await asyncio.gather(
            self._pump(reader, inner[1], False), self._pump(inner[0], writer, True)
        )

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, slowly: bool
    ) -> None:
        try:
            while data := await reader.read(65536):
                if slowly and self.delay:
                    await asyncio.sleep(self.delay)
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.transport.abort()


Trouble = Callable[[RedisServer, Slow], Awaitable[None]]


async def killed(redis: RedisServer, _slow: Slow) -> None:
    """Gone."""
    await asyncio.to_thread(redis.kill)


async def hung(redis: RedisServer, _slow: Slow) -> None:
    """Connections stay, answers do not come."""
    redis.hang()


async def slowed(_redis: RedisServer, slow: Slow) -> None:
    """Every answer takes four times as long as anybody waits."""
    slow.delay = 0.1


async def flushed(redis: RedisServer, _slow: Slow) -> None:
    """Counters, credit and scripts are forgotten."""
    await asyncio.to_thread(redis.flush)


async def restarted(redis: RedisServer, _slow: Slow) -> None:
    """At once, and empty."""
    await asyncio.to_thread(redis.kill)
    await asyncio.to_thread(redis.start, "--unixsocketperm", "777")


async def well_again(name: str, redis: RedisServer, slow: Slow) -> None:
    """The end of it."""
    if name == "killed":
        await asyncio.to_thread(redis.start, "--unixsocketperm", "777")
    if name == "hung":
        redis.resume()
    slow.delay = 0.0


TROUBLES: dict[str, Trouble] = {
    "killed": killed,
    "hung": hung,
    "slowed": slowed,
    "flushed": flushed,
    "restarted": restarted,
}


async def until_whole(made: Installation) -> float:
    """Seconds until /ready says again that the store decides."""
    begin = time.monotonic()
    async with aiohttp.ClientSession(made.url) as client, asyncio.timeout(READY_SECONDS):
        while True:
            async with client.get("/ready") as answer:
                limits = (await answer.json())["parts"]["limits"]
                if answer.status == 200 and not limits["reason"]:
                    return time.monotonic() - begin
            await asyncio.sleep(0.05)


async def test_calls_go_on_whatever_befalls_redis(seconds: float, note: Note) -> None:
    require("bubblewrap")
    with redis_in_use.server() as redis:
        async with Slow(redis) as slow:
            environment = {"SANDBOX_RUNTIME": "bubblewrap", "REDIS_URL": f"unix://{slow.path}"}
            made, stack = await asyncio.to_thread(_installed, environment)
            try:
                await _every_trouble(made, redis, slow, seconds / 3, note)
            finally:
                await asyncio.to_thread(stack.close)


def _installed(environment: dict[str, str]) -> tuple[Installation, ExitStack]:
    """Entered by hand: the way to Redis needs this test's loop while it starts."""
    stack = ExitStack()
    return stack.enter_context(installation(**environment)), stack


async def _every_trouble(
    made: Installation,
    redis: RedisServer,
    slow: Slow,
    seconds: float,
    note: Note,
) -> None:
    api = await asyncio.to_thread(made.deploy, "chaos", apps.USER_APP)
    await asyncio.to_thread(redis_in_use.set_wide_limits, made, api["tenant_id"])
    headers = {"X-API-Key": api["api_key"]}
    async with aiohttp.ClientSession(made.url, headers=headers) as client:
        for name, befall in TROUBLES.items():
            async with under_load(client, f"/{api['id']}") as seen:
                await asyncio.sleep(0.3)
                await befall(redis, slow)
                await asyncio.sleep(seconds)
                await well_again(name, redis, slow)
                whole = await until_whole(made)
            note(f"redis {name}, answers", dict(seen.statuses))
            note(f"redis {name}, answers that say degraded", seen.degraded)
            note(f"redis {name}, refusals", dict(seen.codes))
            note(f"redis {name}, slowest call ms", seen.worst_ms())
            note(f"redis {name}, whole again after seconds", round(whole, 2))
            assert set(seen.statuses) == {200}, (name, seen)
            assert not seen.broken
            assert seen.degraded or name not in AWAY
            assert max(seen.seconds) < SLOWEST_SECONDS
