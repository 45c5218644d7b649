"""A deadline that holds even when the work under it takes its time to stop."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")


async def within(seconds: float, work: Awaitable[T]) -> T:
    """The result in time, else TimeoutError at once.

    `asyncio.timeout` waits until cancelled work has ended. A database driver that tidies up
    with a hung server needs many seconds for that; here nobody waits for it.
    """
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait({task}, timeout=seconds)
    except asyncio.CancelledError:
        _stop(task)
        raise
    if task.done():
        return task.result()
    _stop(task)
    raise TimeoutError


def _stop(task: asyncio.Future[T]) -> None:
    """Ask it to end; what it still has to say is of no interest."""
    task.add_done_callback(lambda done: done.cancelled() or done.exception())
    task.cancel()
