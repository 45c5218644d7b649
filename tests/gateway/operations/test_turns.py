"""One change of an API at a time, and nobody waits for ever."""

import asyncio
import sys
from pathlib import Path

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


async def test_gateways_of_one_machine_take_turns_too(tmp_path: Path) -> None:
    one, two = Turns(folder=tmp_path), Turns(folder=tmp_path)
    seen, gate = list[str](), asyncio.Event()

    async def change(turns: Turns, name: str) -> None:
        async with turns.of("api"):
            seen.append(f"{name} begins")
            await gate.wait()
            seen.append(f"{name} ends")

    first = asyncio.create_task(change(one, "a"))
    await until(lambda: seen == ["a begins"])
    second = asyncio.create_task(change(two, "b"))
    async with asyncio.timeout(5), two.of("other"):
        assert seen == ["a begins"]
    gate.set()
    await asyncio.gather(first, second)
    assert seen == ["a begins", "a ends", "b begins", "b ends"]


async def test_a_turn_that_another_gateway_keeps_is_an_answer(tmp_path: Path) -> None:
    async with Turns(folder=tmp_path).of("api"):
        with pytest.raises(ApiBusyError):
            async with Turns(seconds=0.05, folder=tmp_path).of("api"):
                pytest.fail("two at once")
    async with asyncio.timeout(5), Turns(folder=tmp_path).of("api"):
        pass


async def test_a_killed_gateway_gives_its_turn_back(tmp_path: Path) -> None:
    code = (
        "import asyncio, sys\nfrom pathlib import Path\n"
        "from gateway.operations.turns import Turns\n"
        "async def main():\n"
        "    async with Turns(folder=Path(sys.argv[1])).of('api'):\n"
        "        print('mine', flush=True)\n"
        "        await asyncio.sleep(600)\n"
        "asyncio.run(main())\n"
    )
    other = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, str(tmp_path), stdout=asyncio.subprocess.PIPE
    )
    assert other.stdout is not None
    assert await other.stdout.readline() == b"mine\n"
    with pytest.raises(ApiBusyError):
        async with Turns(seconds=0.05, folder=tmp_path).of("api"):
            pytest.fail("two at once")
    other.kill()
    await other.wait()
    async with asyncio.timeout(5), Turns(folder=tmp_path).of("api"):
        pass
