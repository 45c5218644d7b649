"""Leases, the freezer behind them, and that the two never disagree."""

import asyncio
import random

import pytest

from sandbox.frost import Frost
from sandbox.pool import Policy
from sandbox.runtimes.base import Handle
from sandbox.runtimes.fake import FakeRuntime
from sandbox.types import Bundle, EndReason
from tests.support.managing import Managed, ManualClock, call, managed, spec
from tests.support.waiting import until

POLICY = Policy(blanks=0, lease_seconds=10, freeze_seconds=2, idle_seconds=600)


async def frozen(it: Managed) -> str:
    """A sandbox whose lease is over for a while."""
    lease = await it.manager.acquire(spec(), Bundle(""))
    it.clock.now += 13
    it.manager.tick()
    await until(lambda: it.statuses == ["frozen"])
    assert it.runtime.is_frozen(lease.sandbox_id)
    return lease.sandbox_id


async def test_a_sandbox_whose_lease_is_over_is_frozen_and_thawed_when_wanted() -> None:
    async with managed(POLICY) as it:
        sandbox_id = await frozen(it)
        lease = await it.manager.acquire(spec(), Bundle(""))
        assert lease.sandbox_id == sandbox_id
        assert lease.times is None
        assert b"200 OK" in await call(lease.socket_path)
        assert it.statuses == ["ready"]
        assert it.manager.status().pool.thaws == 1


async def test_find_and_renew_thaw_too() -> None:
    async with managed(POLICY) as it:
        sandbox_id = await frozen(it)
        assert await it.manager.find(spec())
        assert not it.runtime.is_frozen(sandbox_id)
        it.clock.now += 13
        it.manager.tick()
        await until(lambda: it.statuses == ["frozen"])
        assert await it.manager.renew([sandbox_id]) == {sandbox_id: 10}
        assert not it.runtime.is_frozen(sandbox_id)


async def test_a_crowd_thaws_once() -> None:
    async with managed(POLICY) as it:
        await frozen(it)
        await asyncio.gather(*(it.manager.find(spec()) for _ in range(100)))
        assert it.manager.status().pool.thaws == 1


async def test_a_renewed_one_is_not_frozen() -> None:
    async with managed(POLICY) as it:
        lease = await it.manager.acquire(spec(), Bundle(""))
        it.clock.now += 11  # over, but a renewal may be on its way
        it.manager.tick()
        assert await it.manager.renew([lease.sandbox_id])
        it.clock.now += 11
        it.manager.tick()
        await asyncio.sleep(0.05)
        assert it.statuses == ["ready"]


async def test_a_runtime_that_cannot_freeze_is_not_asked() -> None:
    runtime = FakeRuntime()
    runtime.can_freeze = False
    async with managed(POLICY, runtime) as it:
        await it.manager.acquire(spec(), Bundle(""))
        it.clock.now += 100
        it.manager.tick()
        await asyncio.sleep(0.05)
        assert it.statuses == ["ready"]


async def test_a_freezer_that_fails_leaves_a_running_sandbox_and_is_not_asked_again() -> None:
    async with managed(POLICY) as it:
        it.runtime.faults.freeze_error = "no freezer"
        lease = await it.manager.acquire(spec(), Bundle(""))
        it.clock.now += 13
        it.manager.tick()
        await until(lambda: not it.manager._keeper._freezing)
        it.runtime.faults.freeze_error = ""
        it.manager.tick()
        await asyncio.sleep(0.05)
        assert it.statuses == ["ready"]
        assert await it.manager.find(spec()) is not None
        assert b"200 OK" in await call(lease.socket_path)


async def test_one_that_cannot_be_thawed_is_replaced() -> None:
    async with managed(POLICY) as it:
        sandbox_id = await frozen(it)
        it.runtime.faults.thaw_error = "stuck"
        lease = await it.manager.acquire(spec(), Bundle(""))
        assert lease.sandbox_id != sandbox_id
        assert it.manager.status().pool.ends == {EndReason.STOPPED: 1}


async def test_renewing_one_that_cannot_be_thawed_says_it_is_gone() -> None:
    async with managed(POLICY) as it:
        sandbox_id = await frozen(it)
        it.runtime.faults.thaw_error = "stuck"
        assert await it.manager.renew([sandbox_id]) == {}
        assert await it.manager.find(spec()) is None


@pytest.mark.parametrize("way", ["retire", "stop_api", "idle", "close", "crash"])
async def test_a_frozen_one_can_be_ended_in_every_way(way: str) -> None:
    async with managed(POLICY) as it:
        sandbox_id = await frozen(it)
        match way:
            case "retire":
                await it.manager.retire(sandbox_id)
            case "stop_api":
                assert await it.manager.stop_api("api") == 1
            case "idle":
                it.clock.now += 700
                it.manager.tick()
            case "crash":
                await it.runtime.die(sandbox_id)
            case "close":
                await it.close()
        await until(lambda: it.runtime.sandbox_ids == [])
        await until(lambda: it.files == [])


async def test_a_frozen_one_is_adopted_thawed() -> None:
    async with managed(POLICY) as old:
        sandbox_id = await frozen(old)
        await old.kill()
        new = Managed(old.settings, old.runtime, ManualClock())
        new.start()
        lease = await new.manager.find(spec())
        assert lease is not None
        assert lease.sandbox_id == sandbox_id
        assert b"200 OK" in await call(lease.socket_path)
        await new.close()


class SlowFreezer:
    """A handle whose engine takes its time; it knows whether calls would be answered."""

    def __init__(self) -> None:
        self.is_frozen = False

    async def freeze(self) -> None:
        await asyncio.sleep(random.random() * 0.002)
        self.is_frozen = True
        await asyncio.sleep(random.random() * 0.002)

    async def thaw(self) -> None:
        await asyncio.sleep(random.random() * 0.002)
        self.is_frozen = False


async def test_however_freezing_and_thawing_race_a_leased_one_is_never_frozen() -> None:
    frost, handle, leases = Frost(), SlowFreezer(), 0
    done = asyncio.Event()

    async def use() -> None:
        nonlocal leases
        for _ in range(100):
            leases += 1
            if frost.frozen:
                await frost.thaw(as_handle(handle))
            for _ in range(random.randrange(5)):
                assert not handle.is_frozen
                await asyncio.sleep(0)
            leases -= 1
            await asyncio.sleep(random.random() * 0.003)

    async def freeze() -> None:
        while not done.is_set():
            await frost.freeze(as_handle(handle), lambda: leases == 0)
            await asyncio.sleep(0)

    freezers = [asyncio.create_task(freeze()) for _ in range(2)]
    await asyncio.gather(*(use() for _ in range(3)))
    done.set()
    await asyncio.gather(*freezers)


async def test_a_manager_never_answers_a_lease_on_a_frozen_sandbox() -> None:
    policy = Policy(blanks=0, lease_seconds=0.5, freeze_seconds=0)
    async with managed(policy) as it:
        first = await it.manager.acquire(spec(), Bundle(""))
        for _ in range(200):
            it.clock.now += random.choice([0.0, 0.3, 0.6])
            it.manager.tick()
            for _ in range(random.randrange(4)):
                await asyncio.sleep(0)
            if random.random() < 0.5:
                lease = await it.manager.find(spec())
                assert lease is not None
            else:
                assert first.sandbox_id in await it.manager.renew([first.sandbox_id])
            assert not it.runtime.is_frozen(first.sandbox_id)


def as_handle(one: SlowFreezer) -> Handle:
    """The two methods that matter here."""
    return one  # type: ignore[return-value]


async def test_what_one_holder_gives_up_stays_for_the_others() -> None:
    async with managed(POLICY) as it:
        lease = await it.manager.acquire(spec(), Bundle(""), holder=1)
        assert (await it.manager.acquire(spec(), Bundle(""), holder=2)).sandbox_id
        await it.manager.release(lease.sandbox_id, holder=1)
        assert b"200 OK" in await call(lease.socket_path)
        assert await it.manager.renew([lease.sandbox_id], holder=2) == {lease.sandbox_id: 10}
        await it.manager.release(lease.sandbox_id, holder=2)
        assert it.statuses == []


async def test_what_was_given_up_stops_when_the_last_lease_is_over() -> None:
    async with managed(POLICY) as it:
        lease = await it.manager.acquire(spec(), Bundle(""), holder=1)
        assert await it.manager.renew([lease.sandbox_id], holder=2)  # which dies without a word
        await it.manager.release(lease.sandbox_id, holder=1)
        it.clock.now += 11
        it.manager.tick()
        assert it.statuses == ["ready"]
        it.clock.now += 2
        it.manager.tick()
        await until(lambda: it.statuses == [])


async def test_a_lease_that_is_over_holds_nothing() -> None:
    async with managed(POLICY) as it:
        lease = await it.manager.acquire(spec(), Bundle(""), holder=1)
        it.clock.now += 13
        assert await it.manager.find(spec(), holder=2)
        await it.manager.release(lease.sandbox_id, holder=2)
        assert it.statuses == []


async def test_a_generation_that_was_only_tried_out_ends_when_a_later_one_is_there() -> None:
    async with managed(POLICY) as it:
        old = await it.manager.acquire(spec(), Bundle(""))
        new = await it.manager.acquire(spec(generation=2), Bundle(""))
        it.clock.now += 9
        assert await it.manager.renew([new.sandbox_id])
        it.clock.now += 31.5  # since the lease of the old one ended
        it.manager.tick()
        await until(lambda: len(it.statuses) == 1)
        assert await it.manager.find(spec(generation=2))
        assert await it.manager.find(spec()) is None
        assert old.sandbox_id != new.sandbox_id
