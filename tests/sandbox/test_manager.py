"""The manager over the in-memory runtime: starting, finding, renewing, stopping."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from sandbox.pool import Policy
from sandbox.types import (
    Bundle,
    CapacityError,
    EndReason,
    ManagerUnavailableError,
    Resources,
    StartFailedError,
    StartFailure,
    Tier,
)
from tests.support.managing import call, managed, spec
from tests.support.waiting import until


async def test_acquire_starts_a_sandbox_that_answers_at_its_socket() -> None:
    async with managed() as it:
        lease = await it.manager.acquire(spec(), Bundle(""))
        assert b"200 OK" in await call(lease.socket_path)
        assert (lease.runtime, lease.tier, lease.seconds) == ("fake", Tier.NONE, 10)


async def test_second_acquire_finds_the_same_sandbox() -> None:
    async with managed() as it:
        first = await it.manager.acquire(spec(), Bundle(""))
        again = await it.manager.acquire(spec(), Bundle(""))
        assert again == replace(first, times=None)  # only who made the start waited for it
        assert it.runtime.launches == 1


async def test_a_thousand_callers_of_one_spec_share_one_start() -> None:
    async with managed() as it:
        leases = await asyncio.gather(
            *(it.manager.acquire(spec(), Bundle("")) for _ in range(1000))
        )
        assert len({lease.sandbox_id for lease in leases}) == 1
        assert sum(lease.times is not None for lease in leases) == 1
        assert it.runtime.launches == 1


async def test_a_caller_who_leaves_does_not_end_the_start_for_the_others() -> None:
    async with managed() as it:
        leaver = asyncio.create_task(it.manager.acquire(spec(), Bundle("# fake: slow 0.05")))
        stayer = asyncio.create_task(it.manager.acquire(spec(), Bundle("# fake: slow 0.05")))
        await until(lambda: it.statuses == ["starting"])
        leaver.cancel()
        assert (await stayer).sandbox_id
        assert it.runtime.launches == 1


async def test_another_generation_gets_a_sandbox_of_its_own() -> None:
    async with managed() as it:
        old = await it.manager.acquire(spec(generation=1), Bundle(""))
        new = await it.manager.acquire(spec(generation=2), Bundle(""))
        assert old.sandbox_id != new.sandbox_id


async def test_a_warm_blank_is_used_and_replaced() -> None:
    async with managed(Policy(blanks=1)) as it:
        await it.warm(1)
        blank = it.manager.status().sandboxes[0].sandbox_id
        assert (await it.manager.acquire(spec(), Bundle(""))).sandbox_id == blank
        await it.warm(1)
        assert it.runtime.launches == 2


async def test_a_blank_is_resized_when_it_is_claimed() -> None:
    async with managed(Policy(blanks=1)) as it:
        await it.warm(1)
        blank = it.manager.status().sandboxes[0].sandbox_id
        big = replace(spec(), resources=Resources(memory_mb=512, cpus=2.0, pids=64))
        lease = await it.manager.acquire(big, Bundle(""))
        assert lease.sandbox_id == blank
        assert it.runtime.resources_of(blank) == big.resources


async def test_a_blank_that_cannot_be_resized_costs_a_launch_and_no_call() -> None:
    async with managed(Policy(blanks=1)) as it:
        await it.warm(1)
        blank = it.manager.status().sandboxes[0].sandbox_id
        it.runtime.faults.resize_error = "no such limit"
        big = replace(spec(), resources=Resources(memory_mb=512))
        lease = await it.manager.acquire(big, Bundle(""))
        assert lease.sandbox_id != blank
        assert it.runtime.resources_of(lease.sandbox_id) == big.resources


async def test_another_size_of_tmp_gets_a_launch_of_its_own() -> None:
    async with managed(Policy(blanks=1)) as it:
        await it.warm(1)
        blank = it.manager.status().sandboxes[0].sandbox_id
        big = replace(spec(), resources=Resources(tmp_mb=512))
        assert (await it.manager.acquire(big, Bundle(""))).sandbox_id != blank


async def test_a_blank_that_ends_in_the_pool_is_replaced() -> None:
    async with managed(Policy(blanks=1)) as it:
        await it.warm(1)
        await it.runtime.die(it.manager.status().sandboxes[0].sandbox_id)
        await until(lambda: it.runtime.launches == 2)
        await it.warm(1)


async def test_a_blank_that_ended_unnoticed_costs_the_caller_nothing() -> None:
    async with managed(Policy(blanks=1)) as it:
        await it.warm(1)
        blank = it.manager.status().sandboxes[0].sandbox_id
        dying = asyncio.create_task(it.runtime.die(blank))
        lease = await it.manager.acquire(spec(), Bundle(""))
        await dying
        assert b"200 OK" in await call(lease.socket_path)


async def test_find_answers_only_what_is_ready() -> None:
    async with managed() as it:
        assert await it.manager.find(spec()) is None
        lease = await it.manager.acquire(spec(), Bundle(""))
        assert await it.manager.find(spec()) == replace(lease, times=None)


async def test_retired_sandbox_is_gone_and_refuses_connections() -> None:
    async with managed() as it:
        lease = await it.manager.acquire(spec(), Bundle(""))
        await it.manager.retire(lease.sandbox_id)
        assert await it.manager.find(spec()) is None
        assert it.runtime.sandbox_ids == []
        with pytest.raises(OSError, match=r"No such file|refused"):
            await call(lease.socket_path)


async def test_retiring_an_unknown_sandbox_is_fine() -> None:
    async with managed() as it:
        await it.manager.retire("no-such-sandbox")


async def test_stop_api_ends_ready_and_starting_sandboxes_of_that_api_only() -> None:
    async with managed() as it:
        other = await it.manager.acquire(spec(api="other"), Bundle(""))
        await it.manager.acquire(spec("v1"), Bundle(""))
        starting = asyncio.create_task(it.manager.acquire(spec("v2"), Bundle("# fake: hang")))
        await until(lambda: it.statuses == ["ready", "ready", "starting"])
        assert await it.manager.stop_api("api") == 2
        with pytest.raises(ManagerUnavailableError, match="stopped while it started"):
            await starting
        assert await it.manager.find(spec(api="other")) == replace(other, times=None)


async def test_idle_sandbox_ends_after_lease_idle_time_and_grace() -> None:
    async with managed(Policy(blanks=0, idle_seconds=60, grace_seconds=5)) as it:
        await it.manager.acquire(spec(), Bundle(""))
        it.clock.now += 74
        it.manager.tick()
        await until(lambda: it.statuses == ["frozen"])
        it.clock.now += 2
        it.manager.tick()
        await until(lambda: it.runtime.sandbox_ids == [])
        (ended,) = it.manager.sandboxes("api")
        assert (ended.status, ended.end) == ("ended", EndReason.IDLE)


async def test_renewed_sandbox_stays() -> None:
    async with managed(Policy(blanks=0, lease_seconds=10, idle_seconds=60)) as it:
        lease = await it.manager.acquire(spec(), Bundle(""))
        for _ in range(9):
            it.clock.now += 9
            assert await it.manager.renew([lease.sandbox_id, "gone"]) == {lease.sandbox_id: 10}
            it.manager.tick()
        assert it.statuses == ["ready"]


async def test_full_house_is_a_capacity_error() -> None:
    async with managed(Policy(blanks=0, maximum=1)) as it:
        await it.manager.acquire(spec(api="one"), Bundle(""))
        with pytest.raises(CapacityError):
            await it.manager.acquire(spec(api="two"), Bundle(""))


async def test_the_longest_expired_lease_makes_room() -> None:
    policy = Policy(blanks=0, maximum=2, lease_seconds=60, idle_seconds=1000)
    async with managed(policy) as it:
        oldest = await it.manager.acquire(spec(api="one"), Bundle(""))
        it.clock.now += 1
        kept = await it.manager.acquire(spec(api="two"), Bundle(""))
        it.clock.now += 61
        await it.manager.acquire(spec(api="three"), Bundle(""))
        assert await it.manager.renew([oldest.sandbox_id, kept.sandbox_id]) == {kept.sandbox_id: 60}


@pytest.mark.parametrize("kind", list(StartFailure))
async def test_every_start_failure_reaches_the_caller_and_leaves_nothing(
    kind: StartFailure,
) -> None:
    async with managed() as it:
        with pytest.raises(StartFailedError) as failed:
            await it.manager.acquire(
                spec(), Bundle(f"# fake: print hello\n# fake: fail {kind} because")
            )
        assert (failed.value.kind, failed.value.reason) == (kind, "because")
        assert failed.value.log == "hello"
        await until(lambda: it.runtime.sandbox_ids == [])
        assert it.files == []


async def test_a_start_that_hangs_ends_at_the_deadline() -> None:
    async with managed(start_seconds=0.05) as it:
        with pytest.raises(StartFailedError) as failed:
            await it.manager.acquire(spec(), Bundle("# fake: hang"))
        assert failed.value.kind is StartFailure.DEADLINE


async def test_an_app_that_does_not_answer_the_probe_is_not_ready() -> None:
    async with managed(start_seconds=0.05) as it:
        with pytest.raises(StartFailedError):
            await it.manager.acquire(spec(), Bundle("# fake: deaf"))


async def test_an_end_while_starting_is_blamed_on_memory_when_the_kernel_did_it() -> None:
    async with managed() as it:
        it.runtime.faults.end = EndReason.MEMORY
        with pytest.raises(StartFailedError) as failed:
            await it.manager.acquire(spec(), Bundle("# fake: exit"))
        assert failed.value.kind is StartFailure.MEMORY


async def test_logs_keep_living_sandboxes_and_the_last_that_ended() -> None:
    async with managed() as it:
        first = await it.manager.acquire(spec("v1"), Bundle("# fake: print one"))
        await it.manager.retire(first.sandbox_id)
        await it.manager.acquire(spec("v2"), Bundle("# fake: print two"))
        lines = {line.text for line in it.manager.logs("api", 10)}
        assert lines == {"one", "two", "[the sandbox ended: stopped: it was retired]"}
        assert len(it.manager.logs("api", 1)) == 1
        assert it.manager.logs("other", 10) == []


async def test_status_names_every_sandbox_and_what_is_missing() -> None:
    async with managed(Policy(blanks=1)) as it:
        await it.warm(1)
        await it.manager.acquire(spec(), Bundle(""))
        status = it.manager.status()
        assert (status.runtime, status.engine_ok) == ("fake", True)
        assert spec() in [one.spec for one in status.sandboxes]


async def test_control_socket_is_gone_once_the_runner_has_dialled() -> None:
    """User code must not be able to dial the manager."""
    async with managed() as it:
        lease = await it.manager.acquire(spec(), Bundle(""))
        assert not Path(it.paths.control_socket(lease.sandbox_id)).exists()
