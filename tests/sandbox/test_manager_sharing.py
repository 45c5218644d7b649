"""Tenants that share a machine, tiers that are asked for, blanks that fit."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from sandbox.pool import Policy
from sandbox.runtimes.fake import FakeRuntime
from sandbox.types import (
    Bundle,
    CapacityError,
    DependencyError,
    EndReason,
    Lock,
    Resources,
    SandboxSpec,
    Tier,
    TierUnavailableError,
)
from tests.support.managing import Managed, managed, spec
from tests.support.waiting import until


def of(tenant: str, api: str) -> SandboxSpec:
    return replace(spec(api=api), tenant_id=tenant)


async def start(it: Managed, one: SandboxSpec, code: str = "") -> str:
    return (await it.manager.acquire(one, Bundle(code))).sandbox_id


# --- tenants


async def test_many_apis_of_one_tenant_share_its_quota() -> None:
    async with managed(Policy(blanks=0, tenant_max=2)) as it:
        await start(it, of("a", "one"))
        await start(it, of("a", "two"))
        with pytest.raises(CapacityError, match="all 2 sandboxes of this tenant"):
            await start(it, of("a", "three"))
        await start(it, of("b", "four"))


async def test_a_full_tenant_gives_up_its_own_idle_ones_first() -> None:
    async with managed(Policy(blanks=0, tenant_max=1)) as it:
        theirs = await start(it, of("b", "theirs"))
        await start(it, of("a", "one"))
        it.clock.now += 11
        await start(it, of("a", "two"))
        assert await it.manager.renew([theirs])
        assert await it.manager.find(of("a", "one")) is None
        assert it.manager.sandboxes("one")[0].end is EndReason.EVICTED


async def test_on_a_full_machine_the_tenant_with_most_idle_ones_gives_one_up() -> None:
    async with managed(Policy(blanks=0, maximum=3)) as it:
        lone = await start(it, of("small", "lone"))
        await start(it, of("large", "one"))
        await start(it, of("large", "two"))
        it.clock.now += 11
        await start(it, of("new", "three"))
        assert await it.manager.renew([lone])
        assert await it.manager.find(of("large", "one")) is None


async def test_a_burst_of_one_tenant_does_not_hold_up_another() -> None:
    async with managed() as it:
        burst = [
            asyncio.create_task(start(it, of("burst", f"api{n}"), "# fake: slow 0.5"))
            for n in range(20)
        ]
        await until(lambda: it.statuses.count("starting") == 4)
        await start(it, of("other", "api"))
        assert not any(task.done() for task in burst)
        await asyncio.gather(*burst)


async def test_code_that_takes_long_to_start_keeps_nobody_out() -> None:
    """Four hanging starts are all a tenant may have at a time, but only for a moment."""
    async with managed(start_seconds=10) as it:
        hanging = [
            asyncio.create_task(start(it, of(tenant, f"api{n}"), "# fake: hang"))
            for tenant in ("a", "b", "c")
            for n in range(4)
        ]
        await until(lambda: it.statuses.count("starting") == 8)
        await start(it, of("d", "api"))
        for task in hanging:
            task.cancel()
        await it.close()


# --- tiers


def stronger(tier: Tier = Tier.GVISOR) -> FakeRuntime:
    runtime = FakeRuntime()
    runtime.tier = tier
    return runtime


async def test_a_floor_gets_the_weakest_tier_that_reaches_it() -> None:
    async with managed(runtime=stronger(Tier.BWRAP)) as it:
        it.others = (stronger(Tier.VM), stronger(Tier.GVISOR))
        for floor, tier in [
            (None, Tier.BWRAP),
            (Tier.BWRAP, Tier.BWRAP),
            (Tier.RUNC, Tier.GVISOR),
            (Tier.GVISOR, Tier.GVISOR),
            (Tier.VM, Tier.VM),
        ]:
            one = replace(spec(api=f"api-{floor}"), floor=floor)
            lease = await it.manager.acquire(one, Bundle(""))
            assert lease.tier is tier
        assert {one.tier for one in it.manager.status().tiers} == {
            Tier.BWRAP,
            Tier.VM,
            Tier.GVISOR,
        }
        await it.close()


async def test_a_tier_that_is_missing_is_an_error_and_never_a_weaker_one() -> None:
    async with managed(runtime=stronger(Tier.RUNC)) as it:
        with pytest.raises(TierUnavailableError, match="gvisor"):
            await it.manager.acquire(replace(spec(), floor=Tier.GVISOR), Bundle(""))
        assert it.runtime.launches == 0


async def test_a_broken_engine_does_not_stop_the_others() -> None:
    async with managed(runtime=stronger(Tier.RUNC)) as it:
        it.others = (stronger(Tier.GVISOR),)
        await start(it, replace(spec(), floor=Tier.GVISOR))
        it.others[0].faults.launch_error = "no runsc"
        with pytest.raises(Exception, match="no runsc"):
            await start(it, replace(spec("v2"), floor=Tier.GVISOR))
        assert it.manager.status().engine_ok
        assert await start(it, spec("v3"))
        await it.close()


async def test_blanks_are_kept_for_the_default_and_for_tiers_in_use() -> None:
    async with managed(Policy(blanks=2), stronger(Tier.RUNC)) as it:
        it.others = (stronger(Tier.GVISOR),)
        await it.warm(2)
        assert it.others[0].launches == 0
        sandbox_id = await start(it, replace(spec(), floor=Tier.GVISOR))
        await until(lambda: it.others[0].launches == 2)
        await it.warm(3)
        await it.manager.retire(sandbox_id)
        it.manager.tick()
        await until(lambda: it.others[0].sandbox_ids == [])
        await it.close()


# --- layers


class Folders:
    """Layers that are there, or not."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.asked: list[Lock] = []

    async def ensure(self, lock: Lock) -> Path:
        self.asked.append(lock)
        if lock.digest == "broken":
            raise DependencyError("no such package")
        return self.folder / lock.digest


async def test_a_layer_is_there_before_the_sandbox_and_later_a_warm_blank_has_it(
    tmp_path: Path,
) -> None:
    async with managed(Policy(blanks=1)) as it:
        layers = it.manager._starter.layers = Folders(tmp_path)
        await it.warm(1)
        one = replace(spec(), layer="sha256")
        first = await it.manager.acquire(one, Bundle("", lock="a==1"))
        assert first.times is not None
        assert not first.times.is_warm
        assert it.runtime.layer_of(first.sandbox_id) == tmp_path / "sha256"
        assert layers.asked == [Lock("sha256", "a==1", ())]
        await it.warm(2)
        second = await it.manager.acquire(replace(one, generation=2), Bundle("", lock="a==1"))
        assert second.times is not None
        assert second.times.is_warm
        assert it.runtime.layer_of(second.sandbox_id) == tmp_path / "sha256"
        assert it.manager._fleet.layers_in_use() == {"sha256"}


async def test_a_layer_that_cannot_be_had_is_its_owners_to_read(tmp_path: Path) -> None:
    async with managed() as it:
        it.manager._starter.layers = Folders(tmp_path)
        with pytest.raises(DependencyError, match="no such package"):
            await start(it, replace(spec(), layer="broken"))
        assert it.runtime.launches == 0
        with pytest.raises(DependencyError):
            await it.manager.lock(["x"])


async def test_a_layer_waits_for_no_slot(tmp_path: Path) -> None:
    """Building one needs slots itself: who waits for it must not hold one."""
    async with managed() as it:
        layers = Folders(tmp_path)
        gate = asyncio.Event()

        async def slow(lock: Lock) -> Path:
            await gate.wait()
            return tmp_path

        layers.ensure = slow  # type: ignore[method-assign]
        it.manager._starter.layers = layers
        waiting = [
            asyncio.create_task(start(it, replace(spec(f"v{n}"), layer="x"))) for n in range(20)
        ]
        await start(it, spec("plain"))
        gate.set()
        await asyncio.gather(*waiting)


async def test_a_throwaway_sandbox_answers_and_is_gone(tmp_path: Path) -> None:
    async with managed(Policy(blanks=1, maximum=3)) as it:
        await it.warm(1)
        async with it.manager._starter.throwaway(
            "", ("pypi.org",), (), {}, Resources(memory_mb=512), tmp_path
        ) as path:
            assert path.exists()
            (one,) = [box for box in it.manager.status().sandboxes if box.spec]
            assert it.runtime.layer_of(one.sandbox_id) == tmp_path
            it.clock.now += 1_000_000  # it has no lease that could end
            it.manager.tick()
            await it.manager.look_for_wear()
            assert one.sandbox_id in it.runtime.sandbox_ids
            assert not it.runtime.is_frozen(one.sandbox_id)
        await until(lambda: one.sandbox_id not in it.runtime.sandbox_ids)
        assert it.manager.status().pool.ends == {}


# --- times


async def test_times_of_a_start_tell_each_phase_and_whether_it_was_warm() -> None:
    async with managed(Policy(blanks=1)) as it:
        await it.warm(1)
        warm = (await it.manager.acquire(spec("v1"), Bundle("# fake: slow 0.05"))).times
        cold = (await it.manager.acquire(replace(spec("v2"), layer=""), Bundle(""))).times
        assert warm is not None
        assert cold is not None
        assert warm.is_warm
        assert warm.code >= 0.05
        assert all(value >= 0 for value in (warm.queued, warm.claimed, warm.ready, cold.claimed))
        pool = it.manager.status().pool
        assert pool.warm_starts + pool.cold_starts == 2
        assert pool.warm_starts >= 1
