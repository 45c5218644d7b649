"""Calls to sandboxes that can be given no listener: their runner dials, a relay pairs."""

import asyncio

import pytest

from sandbox.pool import Policy
from sandbox.runtimes.fake import FakeRuntime
from sandbox.types import Bundle
from tests.support.managing import Managed, ManualClock, call, managed, spec
from tests.support.waiting import until


def dialling() -> FakeRuntime:
    runtime = FakeRuntime()
    runtime.takes_descriptors = False
    return runtime


async def test_a_sandbox_that_dials_answers_calls() -> None:
    async with managed(Policy(blanks=1), dialling()) as it:
        await it.warm(1)
        lease = await it.manager.acquire(spec(), Bundle(""))
        assert it.runtime.told(lease.sandbox_id)["listener"] == "dial"
        answers = await asyncio.gather(*(call(lease.socket_path) for _ in range(20)))
        assert all(b"200 OK" in answer for answer in answers)


async def test_when_it_is_gone_connecting_is_refused() -> None:
    async with managed(runtime=dialling()) as it:
        for end in (it.runtime.die, it.manager.retire):
            lease = await it.manager.acquire(spec(), Bundle(""))
            await end(lease.sandbox_id)
            await until(lambda one=lease.sandbox_id: one not in it.runtime.sandbox_ids)  # type: ignore[misc]
            with pytest.raises(OSError, match=r"No such file|refused"):
                await call(lease.socket_path)


async def test_a_new_manager_relays_again() -> None:
    async with managed(runtime=dialling()) as old:
        lease = await old.manager.acquire(spec(), Bundle(""))
        await old.kill()
        new = Managed(old.settings, old.runtime, ManualClock())
        new.start()
        found = await new.manager.find(spec())
        assert found is not None
        assert found.sandbox_id == lease.sandbox_id
        assert b"200 OK" in await call(found.socket_path)
        await new.close()
