"""Why sandboxes end, what is remembered of it, and what follows."""

import asyncio
from dataclasses import replace

import pytest

from sandbox.pool import Policy
from sandbox.settings import ManagerSettings
from sandbox.types import (
    Bundle,
    CrashLoopError,
    EndReason,
    Resources,
    SandboxStatus,
    StartFailedError,
)
from tests.support.managing import Managed, managed, spec
from tests.support.waiting import until

MB = 2**20


async def crash(it: Managed, sandbox_id: str) -> None:
    await it.runtime.die(sandbox_id)
    await until(lambda: sandbox_id not in it.runtime.sandbox_ids)


def last_of(it: Managed, api: str = "api") -> SandboxStatus:
    return it.manager.sandboxes(api)[-1]


async def started(it: Managed, code: str = "") -> str:
    return (await it.manager.acquire(spec(), Bundle(code))).sandbox_id


# --- reasons


@pytest.mark.parametrize("end", [EndReason.CPU, EndReason.DEADLINE, EndReason.CRASH])
async def test_what_the_runner_says_of_its_end_reaches_the_owner(end: EndReason) -> None:
    async with managed() as it:
        sandbox_id = await started(it)
        await it.runtime.exit(sandbox_id, end, "it was too much")
        await until(lambda: sandbox_id not in it.runtime.sandbox_ids)
        ended = last_of(it)
        assert (ended.status, ended.end, ended.sandbox_id) == ("ended", end, sandbox_id)
        assert it.manager.status().pool.ends == {end: 1}
        assert it.manager.logs("api", 1)[0].text.startswith(f"[the sandbox ended: {end}: ")


@pytest.mark.parametrize("end", [EndReason.MEMORY, EndReason.SYSCALL])
async def test_the_kernels_word_counts_more_than_the_runners(end: EndReason) -> None:
    async with managed() as it:
        sandbox_id = await started(it)
        it.runtime.faults.end = end
        await it.runtime.exit(sandbox_id, EndReason.CRASH, "killed by signal 9")
        await until(lambda: it.manager.status().pool.ends == {end: 1})
        assert last_of(it).end is end


async def test_no_word_at_all_is_a_crash() -> None:
    async with managed() as it:
        await crash(it, await started(it))
        assert last_of(it).end is EndReason.CRASH


async def test_living_and_ended_ones_are_listed_and_the_oldest_forgotten() -> None:
    async with managed() as it:
        ids = []
        for generation in range(25):
            lease = await it.manager.acquire(spec(generation=generation), Bundle(""))
            ids.append(lease.sandbox_id)
            await it.manager.retire(lease.sandbox_id)
        alive = await it.manager.acquire(spec(generation=99), Bundle(""))
        listed = it.manager.sandboxes("api")
        assert [one.sandbox_id for one in listed] == [alive.sandbox_id, *ids[-20:]]
        assert {one.end for one in listed[1:]} == {EndReason.STOPPED}
        assert it.manager.sandboxes("other") == []


# --- crash loops


async def test_the_first_crash_restarts_at_once_and_later_ones_wait_longer() -> None:
    async with managed() as it:
        await crash(it, await started(it))
        for wait in (1.0, 2.0, 4.0):
            await crash(it, await started(it))
            with pytest.raises(CrashLoopError) as refused:
                await started(it)
            assert refused.value.retry_seconds == wait
            assert refused.value.end is EndReason.CRASH
            it.clock.now += wait
        assert refused.value.crashes == 4
        assert await started(it)


async def test_one_that_lived_for_a_minute_restarts_at_once() -> None:
    async with managed() as it:
        for _ in range(4):
            sandbox_id = await started(it)
            it.clock.now += 61
            await crash(it, sandbox_id)
        assert await started(it)


async def test_ends_of_our_own_are_no_crashes() -> None:
    async with managed() as it:
        for _ in range(4):
            await it.manager.retire(await started(it))
        assert await started(it)


async def test_a_start_that_fails_after_a_crash_makes_the_next_one_wait() -> None:
    async with managed() as it:
        await crash(it, await started(it))
        with pytest.raises(StartFailedError):
            await started(it, "# fake: fail exception broken")
        with pytest.raises(CrashLoopError, match="broken"):
            await started(it)


# --- calls that get no answer


def impatient(settings: ManagerSettings) -> ManagerSettings:
    return replace(settings, overdue_seconds=0.01, probe_seconds=0.2)


async def test_one_that_answers_nothing_any_more_is_ended() -> None:
    async with managed(adjust=impatient) as it:
        sandbox_id = await started(it)
        it.runtime.hang(sandbox_id)
        for _ in range(10):
            await it.manager.overdue(sandbox_id)
        await until(lambda: sandbox_id not in it.runtime.sandbox_ids)
        assert last_of(it).end is EndReason.DEADLINE
        assert it.manager.status().pool.ends == {EndReason.DEADLINE: 1}
        assert await started(it) != sandbox_id
        await it.manager.overdue("unknown")


async def test_one_that_still_answers_goes_on() -> None:
    async with managed(adjust=impatient) as it:
        sandbox_id = await started(it)
        await it.manager.overdue(sandbox_id)
        await until(lambda: not it.manager._keeper._suspects)
        assert await started(it) == sandbox_id


async def test_one_that_hangs_again_and_again_is_a_crash_loop() -> None:
    async with managed(adjust=impatient) as it:
        for _ in range(2):
            sandbox_id = await started(it)
            it.runtime.hang(sandbox_id)
            await it.manager.overdue(sandbox_id)
            await until(lambda one=sandbox_id: one not in it.runtime.sandbox_ids)  # type: ignore[misc]
        with pytest.raises(CrashLoopError) as refused:
            await started(it)
        assert refused.value.end is EndReason.DEADLINE


# --- wear


async def worn(it: Managed) -> str:
    lease = await it.manager.acquire(
        replace(spec(), resources=Resources(memory_mb=240)), Bundle("")
    )
    await until(lambda: it.manager._fleet.members[lease.sandbox_id].baseline is not None)
    for _ in range(8):
        it.clock.now += 8
        assert await it.manager.renew([lease.sandbox_id])
    it.runtime.faults.memory_bytes = 200 * MB
    await it.manager.look_for_wear()
    assert it.statuses == ["stopping"]
    return lease.sandbox_id


async def test_a_leaking_one_leaves_the_routes_and_finishes_its_calls() -> None:
    async with managed() as it:
        old = await worn(it)
        assert await it.manager.renew([old]) == {}
        one = replace(spec(), resources=Resources(memory_mb=240))
        fresh = await it.manager.acquire(one, Bundle(""))
        assert fresh.sandbox_id != old
        it.clock.now += 44
        it.manager.tick()
        assert old in it.runtime.sandbox_ids
        it.clock.now += 2
        it.manager.tick()
        await until(lambda: old not in it.runtime.sandbox_ids)
        ended = last_of(it)
        assert (ended.end, ended.reason) == (
            EndReason.WORN,
            "it uses 200 MB of its 240 MB of memory",
        )


async def test_a_worn_one_can_be_retired_and_stopped_and_crash() -> None:
    async with managed() as it:
        await it.manager.retire(await worn(it))
        assert it.runtime.sandbox_ids == []
        it.runtime.faults.memory_bytes = 20 * MB
        await worn(it)
        assert await it.manager.stop_api("api") == 1
        it.runtime.faults.memory_bytes = 20 * MB
        await crash(it, await worn(it))
        assert last_of(it).end is EndReason.CRASH


async def test_an_idle_one_at_half_of_its_life_ends_at_once() -> None:
    def short_lived(settings: ManagerSettings) -> ManagerSettings:
        return replace(settings, life_seconds=200)

    async with managed(Policy(blanks=0, idle_seconds=1000), adjust=short_lived) as it:
        sandbox_id = await started(it)
        it.clock.now += 99
        await it.manager.look_for_wear()
        assert it.statuses == ["ready"]
        it.clock.now += 1
        await it.manager.look_for_wear()
        await until(lambda: sandbox_id not in it.runtime.sandbox_ids)
        assert last_of(it).end is EndReason.WORN


# --- deleting from any state


@pytest.mark.parametrize("state", ["waiting", "launching", "starting", "ready", "frozen", "worn"])
async def test_stopping_an_api_works_from_any_state(state: str) -> None:
    runtime_is_slow = state == "launching"
    async with managed(Policy(blanks=0)) as it:
        await it.manager.find(spec())
        it.runtime.faults.never_dial = runtime_is_slow
        starts: list[asyncio.Task[object]] = []
        match state:
            case "waiting":
                for number in range(6):
                    one = spec(f"v{number}")
                    code = Bundle("# fake: hang")
                    starts.append(asyncio.create_task(it.manager.acquire(one, code)))
                await until(lambda: it.statuses.count("starting") == 4)
            case "launching" | "starting":
                code = Bundle("# fake: hang")
                starts.append(asyncio.create_task(it.manager.acquire(spec(), code)))
                await until(lambda: it.runtime.launches == 1)
            case "worn":
                await worn(it)
            case _:
                await started(it)
                if state == "frozen":
                    it.clock.now += 13
                    it.manager.tick()
                    await until(lambda: it.statuses == ["frozen"])
        assert await it.manager.stop_api("api") >= 1
        await asyncio.gather(*starts, return_exceptions=True)
        await until(lambda: it.runtime.sandbox_ids == [] and it.files == [])
        assert it.manager._gate.running == 0
