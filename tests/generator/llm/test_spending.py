"""No reservation is left behind, whenever a call is cancelled."""

import asyncio
from dataclasses import dataclass, field

import pytest

from generator.llm.base import Purpose, Spent, Usage
from generator.llm.spending import held

SPENT = Spent("code", "scripted", "m", "r", Usage(), "p", 1, 0.0, "end_turn")


@dataclass
class SlowBudget:
    """One step waits until it is let go."""

    slow: str
    go: asyncio.Event = field(default_factory=asyncio.Event)
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    diary: list[str] = field(default_factory=list)

    async def reserve(self, purpose: Purpose, model: str, nano_usd: int) -> "SlowBudget":
        return await self._step("reserved")

    async def settle(self, spent: Spent) -> None:
        await self._step("settled")

    async def release(self) -> None:
        await self._step("released")

    async def _step(self, name: str) -> "SlowBudget":
        if name == self.slow:
            self.asked.set()
            await self.go.wait()
        self.diary.append(name)
        return self


async def call(budget: SlowBudget, spent: Spent | None) -> None:
    async with held(budget, "code", "m", 1) as note:
        note.spent = spent


async def cancelled(budget: SlowBudget, task: "asyncio.Task[None]") -> None:
    """Cancel it in the middle of a step, again and again, then let the step go on."""
    await budget.asked.wait()
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0)
    budget.go.set()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_cancelled_while_reserving_gives_it_back() -> None:
    budget = SlowBudget("reserved")
    await cancelled(budget, asyncio.create_task(call(budget, SPENT)))
    assert budget.diary == ["reserved", "released"]


@pytest.mark.parametrize(("spent", "end"), [(SPENT, "settled"), (None, "released")])
async def test_cancelled_while_settling_settles_none_the_less(
    spent: Spent | None, end: str
) -> None:
    budget = SlowBudget(end)
    await cancelled(budget, asyncio.create_task(call(budget, spent)))
    assert budget.diary == ["reserved", end]


async def test_an_error_inside_is_raised_after_the_end() -> None:
    budget = SlowBudget("")

    async def failing() -> None:
        async with held(budget, "code", "m", 1):
            raise KeyError("inside")

    with pytest.raises(KeyError, match="inside"):
        await failing()
    assert budget.diary == ["reserved", "released"]
