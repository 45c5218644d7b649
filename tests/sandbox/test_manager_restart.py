"""What a new manager makes of what an old one left."""

import socket
from pathlib import Path

from sandbox.pool import Policy
from sandbox.types import Bundle
from tests.support.managing import Managed, ManualClock, call, managed, spec
from tests.support.waiting import until


def successor(old: Managed) -> Managed:
    return Managed(old.settings, old.runtime, ManualClock())


async def test_a_sandbox_in_service_is_adopted() -> None:
    async with managed() as old:
        lease = await old.manager.acquire(spec(), Bundle(""))
        await old.kill()
        new = successor(old)
        new.start()
        found = await new.manager.find(spec())
        assert found is not None
        assert found.sandbox_id == lease.sandbox_id
        assert b"200 OK" in await call(found.socket_path)
        await new.close()


async def test_blanks_and_half_started_ones_are_removed() -> None:
    async with managed(Policy(blanks=2)) as old:
        await old.warm(2)
        left = old.runtime.sandbox_ids
        await old.kill()
        new = successor(old)
        new.start()
        await new.warm(2)
        assert not set(left) & set(new.runtime.sandbox_ids)
        await new.close()


async def test_a_sandbox_that_died_meanwhile_is_removed() -> None:
    async with managed() as old:
        lease = await old.manager.acquire(spec(), Bundle(""))
        await old.kill()
        await old.runtime.die(lease.sandbox_id)
        new = successor(old)
        new.start()
        assert await new.manager.find(spec()) is None
        assert new.runtime.sandbox_ids == []
        assert new.files == []
        await new.close()


async def test_stale_files_are_swept() -> None:
    async with managed() as old:
        await old.manager.find(spec())
        await old.kill()
        (old.paths.controls / "aa").mkdir()
        (old.paths.controls / "aa" / "control.sock").touch()
        _dead_socket(old.paths.listener("bb"))
        old.paths.state("cc").write_text("{ this is not JSON")
        old.paths.state("dd").with_suffix(".new").write_text("half")
        new = successor(old)
        new.start()
        await new.manager.find(spec())
        assert new.files == []
        await new.close()


async def test_an_adopted_sandbox_crashes_and_retires_like_any_other() -> None:
    async with managed() as old:
        first = await old.manager.acquire(spec("v1"), Bundle(""))
        second = await old.manager.acquire(spec("v2"), Bundle(""))
        await old.kill()
        new = successor(old)
        new.start()
        await new.manager.find(spec("v1"))
        await new.runtime.die(first.sandbox_id)
        await until(lambda: first.sandbox_id not in new.runtime.sandbox_ids)
        await new.manager.retire(second.sandbox_id)
        assert new.runtime.sandbox_ids == []
        await new.close()


def _dead_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))
