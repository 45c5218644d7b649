"""Waiting for a condition that no event announces, with a deadline."""

import asyncio
import time
from collections.abc import Callable


async def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    """Return once the condition holds; TimeoutError after so many seconds."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


def until_blocking(condition: Callable[[], bool], seconds: float = 20) -> None:
    """The same for tests without an event loop."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"condition did not hold within {seconds} s")
        time.sleep(0.01)
