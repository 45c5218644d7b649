"""Many callers at once against one installation."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp


@dataclass(slots=True)
class Seen:
    """What a crowd of callers saw: how often each status, and each kind of broken connection."""

    statuses: Counter[int] = field(default_factory=Counter)
    broken: Counter[str] = field(default_factory=Counter)
    bodies: Counter[str] = field(default_factory=Counter)


@asynccontextmanager
async def crowd(url: str, key: str, connections: int = 200) -> AsyncIterator[aiohttp.ClientSession]:
    """A client that opens many connections and presents one key."""
    session = aiohttp.ClientSession(
        url,
        headers={"Authorization": f"Bearer {key}"},
        connector=aiohttp.TCPConnector(limit=connections),
        timeout=aiohttp.ClientTimeout(total=90),
    )
    try:
        yield session
    finally:
        await session.close()


async def one(client: aiohttp.ClientSession, path: str, seen: Seen) -> None:
    """One call, noted."""
    try:
        async with client.get(path) as answer:
            text = await answer.text()
    except aiohttp.ClientError as error:
        seen.broken[type(error).__name__] += 1
    else:
        seen.statuses[answer.status] += 1
        seen.bodies[text[:200]] += 1


async def at_once(client: aiohttp.ClientSession, path: str, calls: int) -> Seen:
    """So many calls in parallel."""
    seen = Seen()
    await asyncio.gather(*(one(client, path, seen) for _ in range(calls)))
    return seen


async def while_doing(
    client: aiohttp.ClientSession,
    path: str,
    doing: Callable[[], Awaitable[None]],
    callers: int = 8,
) -> Seen:
    """Keep callers calling for as long as something else is being done."""
    seen, finished = Seen(), asyncio.Event()

    async def keep_calling() -> None:
        while not finished.is_set():
            await one(client, path, seen)

    tasks = [asyncio.create_task(keep_calling()) for _ in range(callers)]
    try:
        await doing()
    finally:
        finished.set()
        await asyncio.gather(*tasks)
    return seen
