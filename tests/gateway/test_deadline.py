"""The deadline holds whatever the work does."""

import asyncio

import pytest

from gateway.deadline import within


async def test_result_in_time_is_the_result() -> None:
    async def work() -> int:
        return 7

    assert await within(5, work()) == 7


async def test_failure_in_time_is_the_failure() -> None:
    async def work() -> int:
        raise ValueError("seven")

    with pytest.raises(ValueError, match="seven"):
        await within(5, work())


async def test_work_that_refuses_to_stop_is_not_waited_for() -> None:
    """It would take for ever; the test ends because nobody waits."""
    let_go = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await let_go.wait()

    with pytest.raises(TimeoutError):
        await within(0.01, work())
    let_go.set()


async def test_cancelled_caller_cancels_the_work() -> None:
    began, cancelled = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    caller = asyncio.create_task(within(60, work()))
    await began.wait()
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    await asyncio.wait_for(cancelled.wait(), 5)
