"""Several gateways: refused without Redis, named, and replaced one at a time without a gap."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import SecretStr

from gateway.cli import gateways
from gateway.cli.children import Program
from gateway.cli.failures import StartError
from gateway.cli.gateways import GatewayProcess, Rolling, SharedLimitsError
from gateway.cli.identity import Identities
from gateway.cli.listener import open_listener
from gateway.cli.supervisor import Supervisor
from gateway.settings import Settings
from tests.support.waiting import until

SLEEPER = (sys.executable, "-c", "import time; time.sleep(600)")


def gone(pid: int | None) -> bool:
    return not Path(f"/proc/{pid}").exists()


def gateway(
    folder: Path, is_ready: Callable[[int], bool], arguments: tuple[str, ...] = SLEEPER
) -> GatewayProcess:
    return GatewayProcess(Program("gateway", arguments, folder / "gateway.log"), is_ready)


def test_several_without_redis_are_refused() -> None:
    with pytest.raises(SharedLimitsError, match="REDIS_URL"):
        gateways.check(Settings(gateway_workers=2, redis_url=None))
    gateways.check(Settings(gateway_workers=1, redis_url=None))
    gateways.check(Settings(gateway_workers=2, redis_url=SecretStr("redis://127.0.0.1")))


def test_the_command_says_so_before_anything_starts(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "gateway.cli.main", "serve", "--workers", "2"],
        env={"PATH": os.environ["PATH"], "SANDGATE_DATA_DIR": str(tmp_path / "data")},
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    assert "REDIS_URL" in done.stderr
    assert not (tmp_path / "data").exists()


def test_the_only_one_has_no_number() -> None:
    assert gateways.names(1) == ["gateway"]
    assert gateways.names(3) == ["gateway-1", "gateway-2", "gateway-3"]


async def test_the_old_one_ends_when_the_new_one_is_ready(tmp_path: Path) -> None:
    alive_when_ready: list[bool] = []
    old: int | None = None

    def is_ready(_pid: int) -> bool:
        alive_when_ready.append(not gone(old))
        return True

    child = gateway(tmp_path, is_ready)
    async with Supervisor() as supervisor:
        await supervisor.keep(child)
        old = child.pid
        await child.replace()
        assert alive_when_ready == [True]
        assert gone(old)
        assert not gone(child.pid)
        assert (tmp_path / "gateway.log").exists()
    assert gone(child.pid)


async def test_the_successor_of_one_alone_is_told_whose_end_to_wait_for(tmp_path: Path) -> None:
    told = (*SLEEPER[:2], "import sys, time; print(sys.argv, flush=True); time.sleep(600)")
    program = Program("gateway", told, tmp_path / "gateway.log")
    child = GatewayProcess(program, lambda _: True, is_alone=True)
    async with Supervisor() as supervisor:
        await supervisor.keep(child)
        old = child.pid
        await until(lambda: b"['-c']" in program.log_file.read_bytes())
        await child.replace()
        await until(lambda: f"'--after', '{old}'".encode() in program.log_file.read_bytes())
        assert gone(old)


@pytest.mark.parametrize("redis", [None, SecretStr("redis://127.0.0.1")])
def test_only_limits_in_memory_keep_two_from_working_at_once(
    tmp_path: Path, redis: SecretStr | None
) -> None:
    settings = Settings(sandgate_data_dir=tmp_path, redis_url=redis)
    with open_listener("127.0.0.1", 0) as listener:
        (only,) = gateways.gateways(settings, tmp_path, listener, Identities())
    assert only._is_alone is (redis is None)


async def test_one_that_does_not_come_up_changes_nothing(tmp_path: Path) -> None:
    arguments = (sys.executable, "-c", "import sys; sys.exit(sys.stdin.read() == '')")
    child = gateway(tmp_path, lambda _: False)
    async with Supervisor() as supervisor:
        await supervisor.keep(child)
        old = child.pid
        child._program = Program("gateway", arguments, tmp_path / "gateway.log")
        with pytest.raises(StartError, match="ended with 1"):
            await child.replace()
        assert child.pid == old
        assert not gone(old)


async def test_a_killed_one_is_restarted_alone_also_after_a_replacement(tmp_path: Path) -> None:
    one, two = (gateway(tmp_path, lambda _: True) for _ in range(2))
    async with Supervisor() as supervisor:
        await supervisor.keep(one, two)
        await one.replace()
        killed, other = one.pid, two.pid
        assert killed is not None
        os.kill(killed, signal.SIGKILL)
        await until(lambda: one.pid not in (None, killed))
        assert two.pid == other


DRAINING = (
    sys.executable,
    "-c",
    "import signal, time\nsignal.signal(signal.SIGTERM, lambda *_: print('told', flush=True))\n"
    "print('up', flush=True)\nwhile True: time.sleep(600)",
)


async def test_the_end_of_all_does_not_leave_behind_what_was_being_replaced(
    tmp_path: Path,
) -> None:
    """Told to stop while the old gateway still drains: it must not outlive its supervisor."""
    program = Program("gateway", DRAINING, tmp_path / "gateway.log", stop_seconds=1)
    child = GatewayProcess(program, lambda _: True)
    async with Supervisor() as supervisor:
        await supervisor.keep(child)
        old = child.pid
        await until(lambda: b"up" in program.log_file.read_bytes())
        replacing = asyncio.create_task(child.replace())
        await until(lambda: b"told" in program.log_file.read_bytes())
        new = child.pid
        replacing.cancel()
        await asyncio.gather(replacing, return_exceptions=True)
    assert new != old
    assert gone(new)
    assert gone(old)


async def test_a_replacement_that_breaks_in_an_unforeseen_way_is_not_the_last(
    tmp_path: Path,
) -> None:
    child = gateway(tmp_path, lambda _: True)
    good = child._program
    rolling = Rolling()
    async with Supervisor() as supervisor:
        await supervisor.keep(child)
        old = child.pid
        task = asyncio.create_task(rolling.run([child]))

        def refuse() -> None:
            raise OSError(12, "no memory for a mount")  # in the child, before exec

        child._program = replace(good, become=refuse)
        rolling.request()
        await until(lambda: not rolling._asked.is_set())
        await until(lambda: not child._turn.locked())
        child._program = good
        rolling.request()
        await until(lambda: gone(old))
        task.cancel()


async def test_all_are_replaced_one_after_the_other(tmp_path: Path) -> None:
    kept = [gateway(tmp_path, lambda _: True) for _ in range(2)]
    rolling = Rolling()
    async with Supervisor() as supervisor:
        await supervisor.keep(*kept)
        before = [each.pid for each in kept]
        task = asyncio.create_task(rolling.run(kept))
        rolling.request()
        await until(lambda: all(gone(pid) for pid in before))
        task.cancel()
        assert all(not gone(each.pid) for each in kept)
