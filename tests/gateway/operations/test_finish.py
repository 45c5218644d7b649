"""Work that reaches its end although its caller is cancelled."""

import asyncio

import pytest

from gateway.operations.finish import finish


async def test_cancelled_caller_is_cancelled_only_after_the_work_ended() -> None:
    begun, go, done = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def work() -> None:
        begun.set()
        await go.wait()
        done.set()

    caller = asyncio.create_task(finish(work()))
    await begun.wait()
    caller.cancel()
    go.set()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert done.is_set()


async def test_failure_of_work_nobody_waits_for_is_not_lost_noisily() -> None:
    begun, go = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        begun.set()
        await go.wait()
        raise ValueError("too late")

    caller = asyncio.create_task(finish(work()))
    await begun.wait()
    caller.cancel()
    go.set()
    with pytest.raises(asyncio.CancelledError):
        await caller


async def test_value_and_failure_pass_through() -> None:
    async def seven() -> int:
        return 7

    async def fail() -> int:
        raise ValueError("no")

    assert await finish(seven()) == 7
    with pytest.raises(ValueError, match="no"):
        await finish(fail())
