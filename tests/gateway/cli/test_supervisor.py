"""Children are restarted when they end and gone when the supervisor stops."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.cli.children import Program, environment_of
from gateway.cli.supervisor import ChildProcess, Supervisor
from gateway.store.binaries import PostgresStartError
from tests.support.waiting import until

SLEEPER = (sys.executable, "-c", "import time; time.sleep(600)")
STUBBORN = (
    sys.executable,
    "-c",
    "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "print('deaf', flush=True)\ntime.sleep(600)",
)


def program(tmp_path: Path, arguments: tuple[str, ...] = SLEEPER, stop: float = 5) -> Program:
    return Program("child", arguments, tmp_path / "child.log", stop_seconds=stop)


def gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


async def another_pid(child: ChildProcess, old: int) -> int:
    await until(lambda: child.pid not in (None, old))
    assert child.pid is not None
    return child.pid


async def test_killed_child_is_started_again(tmp_path: Path) -> None:
    child = ChildProcess(program(tmp_path))
    async with Supervisor() as supervisor:
        await supervisor.keep(child)
        first = child.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        second = await another_pid(child, first)
        assert not gone(second)
    assert gone(second)


async def at_once(_seconds: float) -> None:
    await asyncio.sleep(0)


@pytest.mark.parametrize(
    "failure",
    [
        PostgresStartError("The disk is full"),
        subprocess.SubprocessError("Exception occurred in preexec_fn."),
        OSError(11, "no process"),
    ],
)
async def test_a_restart_that_fails_is_tried_again(tmp_path: Path, failure: Exception) -> None:
    class Failing(ChildProcess):
        failures = 0

        async def start(self) -> None:
            if self.pid is not None and self.failures < 2:
                self.failures += 1
                raise failure
            await super().start()

    child = Failing(program(tmp_path))
    async with Supervisor(sleep=at_once) as supervisor:
        await supervisor.keep(child)
        first = child.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        await another_pid(child, first)
        assert child.failures == 2


async def test_what_failed_while_it_was_watched_does_not_keep_others_alive(tmp_path: Path) -> None:
    class Broken(ChildProcess):
        async def ended(self) -> str:
            raise RuntimeError("a bug")

    one, two = ChildProcess(program(tmp_path)), Broken(program(tmp_path))
    async with Supervisor() as supervisor:
        await supervisor.keep(one, two)
        await asyncio.sleep(0)
        pids = one.pid, two.pid
    assert all(pid is not None and gone(pid) for pid in pids)


async def test_what_is_kept_together_ends_together(tmp_path: Path) -> None:
    ending: list[str] = []
    all_asked = asyncio.Event()

    class Waiting(ChildProcess):
        async def stop(self) -> None:
            ending.append(self.name)
            if len(ending) == 2:
                all_asked.set()
            await all_asked.wait()  # never, were they asked one after the other
            await super().stop()

    pair = [Waiting(Program(name, SLEEPER, tmp_path / "log")) for name in ("a", "b")]
    async with asyncio.timeout(20), Supervisor() as supervisor:
        await supervisor.keep(*pair, together=True)
        assert supervisor.names == ["a", "b"]
    assert sorted(ending) == ["a", "b"]


async def test_stop_ends_children_last_first(tmp_path: Path) -> None:
    order: list[str] = []

    class Noted(ChildProcess):
        async def stop(self) -> None:
            order.append(self.name)
            await super().stop()

    one = Noted(Program("one", SLEEPER, tmp_path / "one.log"))
    two = Noted(Program("two", SLEEPER, tmp_path / "two.log"))
    async with Supervisor() as supervisor:
        await supervisor.keep(one, two)
        assert supervisor.names == ["one", "two"]
    assert order == ["two", "one"]


async def test_child_deaf_to_terminate_is_killed(tmp_path: Path) -> None:
    child = ChildProcess(program(tmp_path, STUBBORN, stop=0.2))
    async with Supervisor() as supervisor:
        await supervisor.keep(child)
        await until(lambda: b"deaf" in (tmp_path / "child.log").read_bytes())
        pid = child.pid
    assert pid is not None
    assert gone(pid)


async def test_child_dies_when_its_starter_is_killed(tmp_path: Path) -> None:
    script = (
        "import asyncio, sys\nfrom pathlib import Path\n"
        "from gateway.cli.children import Program, start\n"
        "async def main():\n"
        f"    p = await start(Program('c', {SLEEPER!r}, Path({str(tmp_path / 'c.log')!r})))\n"
        "    print(p.pid, flush=True)\n    await asyncio.sleep(600)\n"
        "asyncio.run(main())\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as starter:
        assert starter.stdout is not None
        pid = int(starter.stdout.readline())
        starter.kill()
    await until(lambda: gone(pid))


def test_environment_is_limited_to_the_named_variables(tmp_path: Path) -> None:
    limited = Program(
        "c", SLEEPER, tmp_path / "c.log", environment=("PATH",), extra={"PYTHONUNBUFFERED": "1"}
    )
    assert set(environment_of(limited)) == {"PATH", "PYTHONUNBUFFERED"}
