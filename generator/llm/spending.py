"""Reserve before, settle after, whatever happens in between: no reservation is ever left behind."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from generator.llm.base import Budget, Purpose, Reservation, Spent


@dataclass(slots=True)
class Held:
    """Money set aside for one try; what is noted in `spent` is settled at the end."""

    spent: Spent | None = None


@asynccontextmanager
async def held(budget: Budget, purpose: Purpose, model: str, nano_usd: int) -> AsyncIterator[Held]:
    """Set aside, then settle what was noted, or release when nothing was."""
    reservation = await _reserved(budget, purpose, model, nano_usd)
    note = Held()
    try:
        yield note
    finally:
        end = reservation.release() if note.spent is None else reservation.settle(note.spent)
        task = asyncio.ensure_future(end)
        await outlast(task)
        task.result()


async def _reserved(budget: Budget, purpose: Purpose, model: str, nano_usd: int) -> Reservation:
    """Cancelled while the budget is asked: what it gave goes back."""
    task = asyncio.ensure_future(budget.reserve(purpose, model, nano_usd))
    try:
        await outlast(task)
    except asyncio.CancelledError:
        if not task.cancelled() and task.exception() is None:
            await outlast(asyncio.ensure_future(task.result().release()))
        raise
    return task.result()


async def outlast(task: "asyncio.Future[Any]") -> None:
    """Wait until it is done even when cancelled meanwhile; the cancellation is raised then."""
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled
