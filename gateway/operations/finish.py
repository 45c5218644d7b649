"""Work that must reach its end although whoever asked for it is gone."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

Value = TypeVar("Value")


async def finish(work: Coroutine[Any, Any, Value], seconds: float = 60) -> Value:
    """Await to the end even when cancelled; the cancellation is raised afterwards.

    `seconds` bounds only how long a cancelled caller is kept waiting. The work needs a
    deadline of its own.
    """
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        if not task.done():
            await asyncio.wait({task}, timeout=seconds)
        if task.done() and not task.cancelled():
            task.exception()  # seen; the cancellation is what counts now
        raise
