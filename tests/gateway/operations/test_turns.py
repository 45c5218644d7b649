"""One change of an API at a time, and nobody waits for ever."""

import asyncio

import pytest

from gateway.operations.turns import ApiBusyError, Turns
from tests.support.waiting import until


async def test_one_after_the_other_for_one_api() -> None:
    turns, seen, gate = Turns(), list[str](), asyncio.Event()

    async def change(name: str) -> None:
        async with turns.of("api"):
            seen.append(f"{name} begins")
            await gate.wait()
            seen.append(f"{name} ends")

    tasks = [asyncio.create_task(change(name)) for name in "ab"]
    await until(lambda: turns.waiting("api") == 1)
    gate.set()
    await asyncio.gather(*tasks)
    assert seen == ["a begins", "a ends", "b begins", "b ends"]
    assert turns.waiting("api") == 0


async def test_other_apis_do_not_wait() -> None:
    turns = Turns()
    async with turns.of("one"), asyncio.timeout(5), turns.of("other"):
        pass


async def test_a_turn_that_does_not_come_is_an_answer() -> None:
    turns = Turns(seconds=0.01)
    async with turns.of("api"):
        with pytest.raises(ApiBusyError) as caught:
            async with turns.of("api"):
                pytest.fail("two at once")
    assert (caught.value.code, caught.value.headers["Retry-After"]) == ("api_busy", "5")
    async with turns.of("api"):
        pass


async def test_a_change_that_fails_gives_the_turn_back() -> None:
    turns = Turns()
    with pytest.raises(RuntimeError):
        async with turns.of("api"):
            raise RuntimeError
    async with asyncio.timeout(5), turns.of("api"):
        pass


async def test_nothing_is_kept_of_apis_that_are_done() -> None:
    turns = Turns()
    for n in range(100):
        async with turns.of(str(n)):
            pass
    assert len(turns._locks) == 0
    assert len(turns._waiting) == 0
