"""A Messages server that says what a scenario tells it to: for tests and for a demo without a key.

It speaks real HTTP and refuses what the real models refuse. Not for callers that are not trusted.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from generator.llm.scripted.asked import Asked
from generator.llm.scripted.scenario import Answering, Scenario
from generator.llm.scripted.wire import Server

__all__ = ["Answering", "Asked", "Scenario", "Server", "scripted"]


@asynccontextmanager
async def scripted(
    answering: Answering,
    *,
    compatible: bool = False,
    seen: list[Asked] | None = None,
    host: str = "127.0.0.1",
    port: int = 0,
    pace: float = 0.0,
) -> AsyncIterator[str]:
    """A server for the time of the context; its base URL. Requests are added to `seen`."""
    server = Server(answering, compatible=compatible, seen=seen, pace=pace)
    base_url = await server.start(host, port)
    try:
        yield base_url
    finally:
        await server.close()
