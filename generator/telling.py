"""Events of one job on their way to whoever watches, and what is kept for its end."""

import asyncio
from typing import Any

from generator.llm.base import OnText
from generator.parts import Money, Parts
from generator.types import Candidate, Event, EventKind


class Telling:
    """Each event is taken before the work goes on, so what was told was also stored."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._events: asyncio.Queue[Event | None] = asyncio.Queue()
        self._money: Money | None = None
        self.best: Candidate | None = None

    async def tell(self, kind: EventKind, text: str, **data: Any) -> None:
        """One event; returns when it was taken."""
        self._events.put_nowait(Event(kind, text, data))
        await self._events.join()

    async def tell_cost(self) -> None:
        """What the job has cost so far, if that changed."""
        if (event := self.cost()) is not None:
            await self.tell(event.kind, event.text, **event.data)

    def cost(self) -> Event | None:
        """What the job has cost so far; None when that was told before."""
        money = self._parts.money() if self._parts.money is not None else None
        if money is None or money == self._money:
            return None
        self._money = money
        told = {"nano_usd": money.nano_usd, "cap_nano_usd": money.cap_nano_usd}
        return Event(EventKind.COST, f"${money.nano_usd / 1e9:.4f} so far.", told)

    def writing(self) -> OnText:
        """Tells how much was written, now and then."""
        characters, last = 0, self._parts.clock()

        async def on_text(piece: str) -> None:
            nonlocal characters, last
            characters += len(piece)
            now = self._parts.clock()
            if now - last < self._parts.limits.seconds_between_writing:
                return
            last = now
            text = f"{characters} characters so far."
            await self.tell(EventKind.WRITING, text, characters=characters, file="app.py")

        return on_text

    async def next(self) -> Event | None:
        """The next event; None once the work has ended and all of them were taken."""
        return await self._events.get()

    def taken(self) -> None:
        """Whoever watches has it; the work goes on."""
        self._events.task_done()

    def end(self) -> None:
        """Nothing more will be told."""
        self._events.put_nowait(None)
