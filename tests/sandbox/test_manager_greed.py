"""A sandbox that uses up its share on every processor is kept to few, through its runtime."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from sandbox.confinement import Confinement
from sandbox.runtimes.base import Throttling
from sandbox.types import Bundle
from tests.support.managing import Managed, managed, spec


@pytest.fixture
async def it() -> AsyncIterator[Managed]:
    async with managed() as made:
        made.manager._keeper._confinement = Confinement([0, 1], lambda: made.clock.now)
        yield made


async def look(it: Managed, throttled: int) -> None:
    """After ten more periods, of which it was stopped in so many."""
    seen = it.runtime.faults.throttling or Throttling(0, 0)
    it.runtime.faults.throttling = Throttling(seen.periods + 10, seen.throttled + throttled)
    await it.manager._keeper.look_for_greed()


async def started(it: Managed) -> str:
    return (await it.manager.acquire(spec(), Bundle(""))).sandbox_id


async def test_it_is_kept_to_one_and_let_go_later(it: Managed) -> None:
    one = await started(it)
    await look(it, 0)
    assert it.runtime.cores_of(one) == frozenset()
    await look(it, 9)
    assert it.runtime.cores_of(one) == {0}
    it.clock.now += 31
    await look(it, 0)
    assert it.runtime.cores_of(one) == {0, 1}


async def test_blanks_are_left_alone(it: Managed) -> None:
    one = await started(it)
    for _ in range(2):
        await look(it, 9)
    blanks = set(it.runtime.sandbox_ids) - {one}
    assert {it.runtime.cores_of(blank) for blank in blanks} <= {frozenset()}
    assert it.runtime.cores_of(one) == {0}


async def test_a_refusal_is_tried_again(it: Managed, caplog: pytest.LogCaptureFixture) -> None:
    one = await started(it)
    await look(it, 0)
    it.runtime.faults.confine_error = "not permitted"
    await look(it, 9)
    assert it.runtime.cores_of(one) == frozenset()
    it.runtime.faults.confine_error = ""
    await look(it, 0)
    assert it.runtime.cores_of(one) == {0}


async def test_one_that_ends_meanwhile_disturbs_nobody(it: Managed) -> None:
    gone, other = await started(it), await it.manager.acquire(spec(api="other"), Bundle(""))
    await look(it, 0)
    await asyncio.gather(it.runtime.die(gone), look(it, 9))
    assert it.runtime.cores_of(other.sandbox_id) == {0} or it.runtime.cores_of(
        other.sandbox_id
    ) == {1}
