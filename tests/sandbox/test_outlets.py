"""Ways out of sandboxes: door and worker get the listeners, policies stay the newest."""

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from sandbox.outlet_server import serving_outlet
from sandbox.outlets import read_certificate
from sandbox.types import Bundle, EgressPolicy, Placeholder, Resources
from tests.support.managing import Managed, ManualClock, managed, spec
from tests.support.waiting import until

POLICY = EgressPolicy(("a.example",), {"ph-1": Placeholder("hunter2", ("a.example",))})


class Peer:
    """A door or worker that notes down what it is given."""

    def __init__(self) -> None:
        self.apis: dict[str, str] = {}
        self.details: dict[str, dict[str, Any]] = {}
        self.listeners: dict[str, socket.socket] = {}
        self.says: dict[str, Callable[[str], None]] = {}

    def opened(
        self,
        sandbox_id: str,
        api_id: str,
        listener: socket.socket,
        detail: dict[str, Any],
        say: Callable[[str], None],
    ) -> None:
        self.closed(sandbox_id)
        self.apis[sandbox_id], self.details[sandbox_id] = api_id, detail
        self.listeners[sandbox_id], self.says[sandbox_id] = listener, say

    def updated(self, api_id: str, detail: dict[str, Any]) -> None:
        for sandbox_id, api in self.apis.items():
            if api == api_id:
                self.details[sandbox_id] = detail

    def closed(self, sandbox_id: str) -> None:
        self.apis.pop(sandbox_id, None)
        self.details.pop(sandbox_id, None)
        if sandbox_id in self.listeners:
            self.listeners.pop(sandbox_id).close()

    def hosts(self, sandbox_id: str) -> list[str] | None:
        detail = self.details.get(sandbox_id)
        return None if detail is None else detail["hosts"]


@asynccontextmanager
async def peers(it: Managed) -> AsyncIterator[tuple[Peer, Peer]]:
    """Door and worker of this installation."""
    door, data = Peer(), Peer()
    for path in (it.paths.door_socket, it.paths.data_socket):
        path.parent.mkdir(exist_ok=True)
    us = {os.geteuid()}
    async with (
        serving_outlet(it.paths.door_socket, door, us),
        serving_outlet(it.paths.data_socket, data, us),
    ):
        try:
            yield door, data
        finally:
            for peer in (door, data):
                for listener in peer.listeners.values():
                    listener.close()


async def dialled(listener: socket.socket, path: Path) -> bool:
    """Whether who dials the path reaches the listener."""
    with socket.socket(socket.AF_UNIX) as caller:
        caller.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(caller, str(path))
        async with asyncio.timeout(5):
            sock, _ = await loop.sock_accept(listener)
        sock.close()
    return True


async def test_door_and_worker_serve_what_a_sandbox_dials() -> None:
    async with managed() as it, peers(it) as (door, data):
        bundle = Bundle("", egress=POLICY)
        sandbox_id = (await it.manager.acquire(spec(), bundle)).sandbox_id
        await until(lambda: sandbox_id in door.apis and sandbox_id in data.apis)
        assert door.apis[sandbox_id] == data.apis[sandbox_id] == "api"
        assert door.details[sandbox_id] == POLICY.to_json()
        assert data.details[sandbox_id] == {}
        folder = it.paths.control_dir(sandbox_id)
        for name, peer in (("door.sock", door), ("data.sock", data)):
            assert (folder / name).stat().st_mode & 0o777 == 0o666
            assert await dialled(peer.listeners[sandbox_id], folder / name)
        await it.manager.retire(sandbox_id)
        await until(lambda: not door.apis and not data.apis)


async def test_a_blank_belongs_to_nobody() -> None:
    async with managed() as it, peers(it) as (door, data):
        it.manager._fleet._policy = replace(it.manager._fleet._policy, blanks=1)
        await it.manager.find(spec())
        it.manager.tick()
        await it.warm(1)
        await asyncio.sleep(0.05)
        assert door.apis == data.apis == {}


async def test_a_change_reaches_the_living_and_those_that_start_with_what_was_read_before() -> None:
    async with managed() as it, peers(it) as (door, _):
        stale = Bundle("", egress=EgressPolicy(("old.example",)))
        living = (await it.manager.acquire(spec("v1"), stale)).sandbox_id
        await until(lambda: door.hosts(living) == ["old.example"])
        await it.manager.set_egress("api", EgressPolicy(("new.example",)))
        await until(lambda: door.hosts(living) == ["new.example"])
        late = (await it.manager.acquire(spec("v2"), stale)).sandbox_id
        await until(lambda: door.hosts(late) == ["new.example"])
        it.clock.now += 31  # by now everybody reads the new one, or a newer one
        newest = Bundle("", egress=EgressPolicy(("newest.example",)))
        last = (await it.manager.acquire(spec("v3"), newest)).sandbox_id
        await until(lambda: door.hosts(last) == ["newest.example"])


async def test_a_door_that_comes_late_or_again_is_told_everything() -> None:
    async with managed() as it:
        sandbox_id = (await it.manager.acquire(spec(), Bundle("", egress=POLICY))).sandbox_id
        for _ in range(2):
            async with peers(it) as (door, _):
                await until(lambda door=door: door.hosts(sandbox_id) == ["a.example"])  # type: ignore[misc]


async def test_what_the_door_says_is_in_the_owners_log() -> None:
    async with managed() as it, peers(it) as (door, _):
        sandbox_id = (await it.manager.acquire(spec(), Bundle(""))).sandbox_id
        await until(lambda: sandbox_id in door.says)
        door.says[sandbox_id]("refused b.example: not allowed")
        await until(lambda: bool(it.manager.logs("api", 1)))
        (line,) = it.manager.logs("api", 1)
        assert (line.stream, line.text) == ("egress", "refused b.example: not allowed")


# --- a new manager


async def test_after_a_restart_hosts_are_known_and_secrets_come_with_the_next_acquire() -> None:
    async with managed() as old, peers(old) as (door, _):
        lease = await old.manager.acquire(spec(), Bundle("", egress=POLICY))
        written = old.paths.state(lease.sandbox_id).read_text()
        assert "hunter2" not in written
        assert "ph-1" not in written
        await old.kill()
        new = Managed(old.settings, old.runtime, ManualClock())
        new.start()
        # without its secrets it takes no calls: the gateway has to acquire, which brings them
        assert await new.manager.find(spec()) is None
        assert await new.manager.renew([lease.sandbox_id]) == {}
        await until(
            lambda: door.details.get(lease.sandbox_id) == EgressPolicy(POLICY.hosts).to_json()
        )
        folder = new.paths.control_dir(lease.sandbox_id)
        assert await dialled(door.listeners[lease.sandbox_id], folder / "door.sock")
        again = await new.manager.acquire(spec(), Bundle("", egress=POLICY))
        assert again.sandbox_id == lease.sandbox_id
        await until(lambda: door.details.get(lease.sandbox_id) == POLICY.to_json())
        assert await new.manager.renew([lease.sandbox_id])
        assert "hunter2" not in new.paths.state(lease.sandbox_id).read_text()
        await new.close()


async def test_one_without_secrets_goes_on_at_once_after_a_restart() -> None:
    async with managed() as old:
        bundle = Bundle("", egress=EgressPolicy(("a.example",)))
        lease = await old.manager.acquire(spec(), bundle)
        await old.manager.set_egress("api", EgressPolicy(("b.example",)))
        await old.kill()
        new = Managed(old.settings, old.runtime, ManualClock())
        new.start()
        assert await new.manager.renew([lease.sandbox_id])
        state = json.loads(new.paths.state(lease.sandbox_id).read_text())
        assert state["hosts"] == ["b.example"]
        await new.close()


# --- what the runner is told


async def test_the_runner_gets_everything_once_and_secrets_only_there() -> None:
    async with managed() as it:
        it.paths.door_ca.parent.mkdir(exist_ok=True)
        it.paths.door_ca.write_text("-----BEGIN CERTIFICATE-----\nx\n")
        bundle = Bundle("# code", {"TOKEN": "hunter3", "KEY": "ph-1"}, POLICY)
        one = replace(spec(), resources=Resources(memory_mb=64))
        lease = await it.manager.acquire(one, bundle)
        told = it.runtime.told(lease.sandbox_id)
        assert told == {
            "type": "specialise",
            "api_id": "api",
            "version_id": "v1",
            "filename": "app.py",
            "code": "# code",
            "seconds": 5.0,
            "environment": {"TOKEN": "hunter3", "KEY": "ph-1"},
            "egress": True,
            "ca": "-----BEGIN CERTIFICATE-----\nx\n",
            "layer": False,
            "resources": {"memory_mb": 64, "cpus": 1.0, "pids": 128, "tmp_mb": 64},
            "call_cpu_seconds": 15.0,
            "redact": ["hunter3"],
            "listener": "descriptor",
        }


async def test_a_bundle_is_never_logged(capfd: Any) -> None:
    async with managed() as it:
        bundle = Bundle("# fake: fail exception no", {"TOKEN": "hunter4"}, POLICY)
        for code in ("# fake: fail exception no", ""):
            await asyncio.gather(
                it.manager.acquire(spec(), replace(bundle, code=code)), return_exceptions=True
            )
    out, err = capfd.readouterr()
    assert "hunter" not in out + err


def test_only_a_plain_certificate_is_read(tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    assert read_certificate(path) == ""
    path.write_text("root:x:0:0")
    assert read_certificate(path) == ""
    path.write_text("-----BEGIN CERTIFICATE-----\n")
    assert read_certificate(path)
    link = tmp_path / "link.pem"
    link.symlink_to(path)
    assert read_certificate(link) == ""
    os.mkfifo(tmp_path / "pipe")
    assert read_certificate(tmp_path / "pipe") == ""
