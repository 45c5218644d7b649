"""What the manager does when sandboxes crash and engines fail."""

import asyncio

import pytest

from sandbox.pool import Policy
from sandbox.runtimes.fake import FakeRuntime
from sandbox.types import Bundle, ManagerUnavailableError, StartFailedError
from tests.support.managing import Managed, call, managed, spec
from tests.support.waiting import until


async def crash(it: Managed, sandbox_id: str) -> None:
    await it.runtime.die(sandbox_id)
    await until(lambda: sandbox_id not in it.runtime.sandbox_ids)


async def test_after_a_crash_the_next_acquire_starts_a_fresh_one() -> None:
    async with managed() as it:
        first = await it.manager.acquire(spec(), Bundle(""))
        await crash(it, first.sandbox_id)
        assert await it.manager.renew([first.sandbox_id]) == {}
        second = await it.manager.acquire(spec(), Bundle(""))
        assert second.sandbox_id != first.sandbox_id
        assert b"200 OK" in await call(second.socket_path)


async def test_a_crash_is_told_in_the_log_of_the_api() -> None:
    async with managed() as it:
        lease = await it.manager.acquire(spec(), Bundle(""))
        await crash(it, lease.sandbox_id)
        assert "sandbox ended" in it.manager.logs("api", 10)[-1].text


async def test_a_crash_while_starting_is_the_owners_to_read() -> None:
    async with managed() as it:
        start = asyncio.create_task(it.manager.acquire(spec(), Bundle("# fake: hang")))
        await until(lambda: it.statuses == ["starting"] and it.runtime.launches == 1)
        await until(lambda: any((it.paths.listeners).iterdir()))
        await it.runtime.die(it.runtime.sandbox_ids[0])
        with pytest.raises((StartFailedError, ManagerUnavailableError)):
            await asyncio.wait_for(start, 10)


async def test_a_start_that_keeps_failing_repeats_its_report_without_another_start() -> None:
    async with managed() as it:
        for _ in range(7):
            with pytest.raises(StartFailedError, match="broken"):
                await it.manager.acquire(spec(), Bundle("# fake: fail exception broken"))
        assert it.runtime.launches == 5


async def test_an_engine_that_refuses_a_launch_is_unavailable_not_fatal() -> None:
    async with managed() as it:
        await it.manager.find(spec())
        it.runtime.faults.launch_error = "no space left"
        with pytest.raises(ManagerUnavailableError, match="no space left"):
            await it.manager.acquire(spec(), Bundle(""))
        assert not it.manager.status().engine_ok
        it.runtime.faults.launch_error = ""
        assert (await it.manager.acquire(spec(), Bundle(""))).sandbox_id
        assert it.manager.status().engine_ok


async def test_a_runner_that_never_dials_is_given_up() -> None:
    async with managed(launch_seconds=0.05) as it:
        it.runtime.faults.never_dial = True
        with pytest.raises(ManagerUnavailableError, match="no runner reported"):
            await it.manager.acquire(spec(), Bundle(""))
        await until(lambda: it.runtime.sandbox_ids == [])


async def test_an_engine_that_is_down_at_start_is_tried_again() -> None:
    runtime = FakeRuntime()
    runtime.faults.engine_down = True
    async with managed(runtime=runtime) as it:
        await until(lambda: "down" in it.manager.status().detail)
        with pytest.raises(ManagerUnavailableError, match="down"):
            await it.manager.acquire(spec(), Bundle(""))
        runtime.faults.engine_down = False
        await until(lambda: it.manager.status().engine_ok)
        assert (await it.manager.acquire(spec(), Bundle(""))).sandbox_id


async def test_sandboxes_in_service_go_on_while_the_engine_is_down() -> None:
    async with managed() as it:
        lease = await it.manager.acquire(spec(), Bundle(""))
        it.runtime.faults.engine_down = True
        again = await it.manager.acquire(spec(), Bundle(""))
        assert again.sandbox_id == lease.sandbox_id
        assert b"200 OK" in await call(lease.socket_path)
        it.runtime.faults.engine_down = False


async def test_what_the_engine_does_not_remove_is_tried_until_it_is_gone() -> None:
    async with managed() as it:
        lease = await it.manager.acquire(spec(), Bundle(""))
        it.runtime.faults.keep_destroyed = True
        await it.manager.retire(lease.sandbox_id)
        assert it.runtime.sandbox_ids == [lease.sandbox_id]
        it.runtime.faults.keep_destroyed = False
        it.clock.now += 60
        it.manager.tick()
        await until(lambda: it.runtime.sandbox_ids == [])


async def test_blanks_that_cannot_be_launched_are_not_tried_without_pause() -> None:
    runtime = FakeRuntime()
    runtime.faults.never_dial = True
    async with managed(Policy(blanks=1), runtime, launch_seconds=0.2) as it:
        await until(lambda: not it.manager.status().engine_ok and runtime.launches == 1)
        it.manager.tick()
        it.manager.tick()
        assert runtime.launches == 1
        runtime.faults.never_dial = False

        def later() -> bool:
            it.clock.now += 60
            it.manager.tick()
            return it.statuses == ["blank"]

        await until(later)


async def test_closing_while_everything_is_in_flight_leaves_nothing() -> None:
    async with managed(Policy(blanks=3)) as it:
        starts = [
            asyncio.create_task(it.manager.acquire(spec(f"v{n}"), Bundle("# fake: slow 30")))
            for n in range(4)
        ]
        await until(lambda: it.runtime.launches >= 4)
        await it.close()
        outcomes = await asyncio.gather(*starts, return_exceptions=True)
        assert all(isinstance(outcome, ManagerUnavailableError) for outcome in outcomes)
        assert it.runtime.sandbox_ids == []
