"""The engine is the truth: what it lost is ended, what nobody knows is removed."""

import json
import socket
from dataclasses import replace
from pathlib import Path

from sandbox.pool import Policy
from sandbox.runtimes.base import Launch
from sandbox.types import Bundle, EndReason, Resources
from tests.support.managing import INSTALLATION, Managed, ManualClock, call, managed, spec
from tests.support.waiting import until


async def stray(it: Managed, name: str = "stray", installation: str = INSTALLATION) -> None:
    folder = it.paths.control_dir(name)
    folder.mkdir()
    labels = {"sandgate.installation": installation, "sandgate.sandbox": name}
    it.runtime.faults.never_dial = True
    await it.runtime.launch(Launch(name, folder, Resources(), labels))
    it.runtime.faults.never_dial = False


async def test_a_stray_goes_when_it_was_seen_twice() -> None:
    async with managed(Policy(blanks=1)) as it:
        await it.warm(1)
        await stray(it)
        await it.manager.reconcile()
        assert "stray" in it.runtime.sandbox_ids
        await it.manager.reconcile()
        assert "stray" not in it.runtime.sandbox_ids
        assert it.statuses == ["blank"]
        assert not it.paths.control_dir("stray").exists()


async def test_what_belongs_to_another_installation_is_left_alone() -> None:
    async with managed() as it:
        await it.manager.find(spec())
        await stray(it, installation="other")
        for _ in range(3):
            await it.manager.reconcile()
        assert it.runtime.sandbox_ids == ["stray"]
        await it.runtime.end("stray")


async def test_one_that_the_engine_lost_is_ended() -> None:
    async with managed() as it:
        lease = await it.manager.acquire(spec(), Bundle(""))
        it.runtime.lose(lease.sandbox_id)
        assert it.statuses == ["ready"]
        await it.manager.reconcile()
        assert await it.manager.find(spec()) is None
        await until(lambda: it.manager.status().pool.ends == {EndReason.CRASH: 1})
        await it.manager.acquire(spec(), Bundle(""))


async def test_living_starting_and_frozen_ones_are_left_alone() -> None:
    async with managed(Policy(blanks=2)) as it:
        await it.warm(2)
        lease = await it.manager.acquire(spec(), Bundle(""))
        it.clock.now += 13
        it.manager.tick()
        await until(lambda: it.statuses.count("frozen") == 1)
        for _ in range(3):
            await it.manager.reconcile()
        found = await it.manager.find(spec())
        assert found is not None
        assert found.sandbox_id == lease.sandbox_id
        assert b"200 OK" in await call(found.socket_path)


async def test_an_engine_that_is_away_changes_nothing() -> None:
    async with managed() as it:
        lease = await it.manager.acquire(spec(), Bundle(""))
        it.runtime.faults.engine_down = True
        await it.manager.reconcile()
        it.runtime.faults.engine_down = False
        assert await it.manager.renew([lease.sandbox_id])


async def test_files_that_belong_to_nobody_are_swept() -> None:
    async with managed() as it:
        lease = await it.manager.acquire(spec(), Bundle(""))
        it.paths.control_dir("gone").mkdir()
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind(str(it.paths.listener("gone")))
        it.paths.state("gone").write_text("{}")
        await it.manager.reconcile()
        names = {path.name.partition(".")[0] for path in it.files}
        assert names == {lease.sandbox_id}


# --- state files


def state_of(it: Managed, sandbox_id: str) -> Path:
    return it.paths.state(sandbox_id)


async def test_a_state_file_names_owner_api_version_and_boot_and_holds_no_secret() -> None:
    async with managed() as it:
        one = replace(spec(), tenant_id="tenant")
        bundle = Bundle("# code", {"TOKEN": "hunter2"})
        lease = await it.manager.acquire(one, bundle)
        text = state_of(it, lease.sandbox_id).read_text()
        value = json.loads(text)
        assert value["spec"]["tenant_id"] == "tenant"
        assert (value["spec"]["api_id"], value["spec"]["version_id"]) == ("api", "v1")
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        assert value["boot"] == boot
        assert "hunter2" not in text
        assert "# code" not in text


async def test_a_sandbox_of_a_past_boot_is_not_adopted() -> None:
    async with managed() as old:
        lease = await old.manager.acquire(spec(), Bundle(""))
        await old.kill()
        path = state_of(old, lease.sandbox_id)
        path.write_text(json.dumps(json.loads(path.read_text()) | {"boot": "another"}))
        new = Managed(old.settings, old.runtime, ManualClock())
        new.start()
        assert await new.manager.find(spec()) is None
        assert new.runtime.sandbox_ids == []
        assert new.files == []
        await new.close()


async def test_an_adopted_one_keeps_its_age() -> None:
    async with managed() as old:
        lease = await old.manager.acquire(spec(), Bundle(""))
        await old.kill()
        path = state_of(old, lease.sandbox_id)
        value = json.loads(path.read_text())
        path.write_text(json.dumps(value | {"began": value["began"] - 1000}))
        new = Managed(old.settings, old.runtime, ManualClock())
        new.start()
        await new.manager.find(spec())
        assert new.manager.sandboxes("api")[0].age_seconds >= 1000
        await new.close()
