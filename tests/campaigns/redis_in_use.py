"""A Redis that the gateway under test may reach although it gave up root, and what befalls it."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager

import aiohttp

from tests.support.installation import Installation
from tests.support.redis_server import RedisServer, redis_server

_WIDE = {"minute": 10**7, "hour": 10**8, "day": 10**9}
READY_SECONDS = 60


@contextmanager
def server() -> Iterator[RedisServer]:
    """One on a socket that everybody here may open."""
    with redis_server("--unixsocketperm", "777") as started:
        started.socket.parent.chmod(0o755)
        yield started


def set_wide_limits(made: Installation, tenant_id: str) -> None:
    """Three windows that are counted for each call and never full, not even a worker's share."""
    made.set_limits(tenant_id, _WIDE)


async def killed_and_started(made: Installation, redis: RedisServer) -> float:
    """kill -9, half a second without it, a new and empty one; seconds until all is ready."""
    await asyncio.to_thread(redis.kill)
    await asyncio.sleep(0.5)
    await asyncio.to_thread(redis.start, "--unixsocketperm", "777")
    begin = time.monotonic()
    await ready(made)
    return time.monotonic() - begin


async def ready(made: Installation) -> None:
    """Until /ready says so."""
    async with aiohttp.ClientSession(made.url) as client, asyncio.timeout(READY_SECONDS):
        while True:
            async with client.get("/ready") as answer:
                if answer.status == 200:
                    return
            await asyncio.sleep(0.02)
