"""Many callers at once against one installation."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import httpx


@dataclass(slots=True)
class Seen:
    """What a crowd of callers saw: how often each status, and each kind of broken connection."""

    statuses: Counter[int] = field(default_factory=Counter)
    broken: Counter[str] = field(default_factory=Counter)
    bodies: Counter[str] = field(default_factory=Counter)

    @property
    def answered(self) -> int:
        """Calls that got a whole answer."""
        return self.statuses.total()


def crowd_client(url: str, key: str, connections: int = 200) -> httpx.AsyncClient:
    """A client that opens many connections."""
    return httpx.AsyncClient(
        base_url=url,
        headers={"Authorization": f"Bearer {key}"},
        timeout=60,
        trust_env=False,
        limits=httpx.Limits(max_connections=connections),
    )


async def one(client: httpx.AsyncClient, path: str, seen: Seen) -> None:
    """One call, noted."""
    try:
        answer = await client.get(path)
    except httpx.TransportError as error:
        seen.broken[type(error).__name__] += 1
    else:
        seen.statuses[answer.status_code] += 1
        seen.bodies[answer.text[:200]] += 1


async def at_once(client: httpx.AsyncClient, path: str, calls: int) -> Seen:
    """So many calls in parallel."""
    seen = Seen()
    await asyncio.gather(*(one(client, path, seen) for _ in range(calls)))
    return seen


async def while_doing(
    client: httpx.AsyncClient,
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
