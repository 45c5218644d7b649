"""A gateway that takes over waits, visibly, for the end of the one before."""

import asyncio
import subprocess
import sys
from pathlib import Path

from gateway.server.succession import is_my_turn, marker
from tests.support.waiting import until

SLEEPER = (sys.executable, "-c", "import time; time.sleep(600)")


async def test_its_turn_comes_when_the_other_is_gone(tmp_path: Path) -> None:
    waiting = marker(tmp_path / "gateways" / "7.sock")
    with subprocess.Popen(SLEEPER) as before:
        turn = asyncio.create_task(is_my_turn(before.pid, waiting, asyncio.Event()))
        await until(waiting.exists)
        assert not turn.done()
        before.kill()
        before.wait()
        assert await turn
    assert not waiting.exists()


async def test_who_is_told_to_stop_does_not_wait(tmp_path: Path) -> None:
    waiting, stop = tmp_path / "7.waiting", asyncio.Event()
    with subprocess.Popen(SLEEPER) as before:
        turn = asyncio.create_task(is_my_turn(before.pid, waiting, stop))
        await until(waiting.exists)
        stop.set()
        assert not await turn
        before.kill()
    assert not waiting.exists()


async def test_nobody_waits_for_the_dead(tmp_path: Path) -> None:
    with subprocess.Popen(SLEEPER) as before:
        before.kill()
    assert await is_my_turn(before.pid, tmp_path / "7.waiting", asyncio.Event())
