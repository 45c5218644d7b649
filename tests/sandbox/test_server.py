"""The manager's socket and its client."""

import asyncio
import contextlib
import json
import os
import stat
import struct
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from sandbox.client import ManagerClient
from sandbox.pool import Policy
from sandbox.runner.frames import MAX_FRAME, encode
from sandbox.server import listening
from sandbox.types import (
    AppDocument,
    Bundle,
    CapacityError,
    DependencyError,
    EgressPolicy,
    EndReason,
    ManagerUnavailableError,
    StartFailedError,
    StartFailure,
    Tier,
    TierUnavailableError,
)
from tests.support.managing import Managed, call, managed, spec
from tests.support.waiting import until


@asynccontextmanager
async def served(policy: Policy | None = None) -> AsyncIterator[tuple[Managed, ManagerClient]]:
    async with managed(policy) as it, listening(it.manager, it.paths.manager_socket):
        client = ManagerClient(it.paths.manager_socket)
        try:
            yield it, client
        finally:
            await client.close()


async def test_client_asks_what_an_app_offers() -> None:
    async with served() as (_, client):
        told = await client.acquire(spec(), Bundle('# fake: openapi {"openapi": "3.1.0"}'))
        silent = await client.acquire(spec("other"), Bundle(""))
        assert await client.document(told.sandbox_id) == AppDocument('{"openapi": "3.1.0"}')
        assert (await client.document(silent.sandbox_id)).note == "the fake runs no code"
        with pytest.raises(ManagerUnavailableError):
            await client.document("no-such-one")


async def test_client_acquires_renews_finds_and_retires() -> None:
    async with served() as (_, client):
        lease = await client.acquire(spec(), Bundle("# fake: print hi"))
        assert b"200 OK" in await call(lease.socket_path)
        assert await client.renew([lease.sandbox_id, "x"]) == {lease.sandbox_id: 10}
        assert await client.find(spec()) == replace(lease, times=None)
        assert [line.text for line in await client.logs("api")] == ["hi"]
        assert (await client.status()).sandboxes[0].spec == spec()
        await client.retire(lease.sandbox_id)
        assert await client.find(spec()) is None
        await client.acquire(spec(), Bundle(""))
        assert await client.stop_api("api") == 1


async def test_a_client_gives_up_a_sandbox_that_nobody_else_holds() -> None:
    async with served() as (_, client):
        lease = await client.acquire(spec(), Bundle(""))
        await client.release(lease.sandbox_id)
        assert await client.find(spec()) is None


async def test_client_asks_about_an_api_and_its_endings() -> None:
    async with served() as (_, client):
        lease = await client.acquire(spec(), Bundle("", {"A": "x"}))
        await client.set_egress("api", EgressPolicy(("a.example",)))
        await client.overdue(lease.sandbox_id)
        await client.retire(lease.sandbox_id)
        (ended,) = await client.sandboxes("api")
        assert (ended.status, ended.end) == ("ended", EndReason.STOPPED)
        with pytest.raises(DependencyError):
            await client.lock(["httpx"])
        with pytest.raises(TierUnavailableError):
            await client.acquire(replace(spec(), floor=Tier.VM), Bundle(""))


async def test_a_bundle_out_of_bounds_is_refused_and_the_connection_goes_on() -> None:
    async with served() as (_, client):
        with pytest.raises(ValueError, match="variable"):
            await client.acquire(spec(), Bundle("", {"A-B": "x"}))
        assert (await client.status()).engine_ok


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has other users' processes as clients")
async def test_another_user_may_connect_only_when_it_is_named(tmp_path: Path) -> None:
    us, them, stranger = os.geteuid(), 805_306_366, 805_306_365
    async with managed() as it:
        it.paths.make(passable=True)
        Path(it.settings.data_dir).chmod(0o711)
        async with listening(it.manager, it.paths.manager_socket, (them,)):
            found = it.paths.manager_socket.stat()
            assert (found.st_uid, stat.S_IMODE(found.st_mode)) == (them, 0o600)
            for uid, answered in [(us, True), (them, True), (stranger, False)]:
                assert (
                    await asyncio.to_thread(may_connect, it.paths.manager_socket, uid) == answered
                )


def may_connect(path: Path, uid: int) -> bool:
    """Whether a process of this user gets an answer."""
    asking = (
        "import os, socket, sys; os.setgroups([]); os.setuid(int(sys.argv[3]));"
        "s = socket.socket(socket.AF_UNIX); s.settimeout(10);"
        "s.connect(sys.argv[1]); s.sendall(bytes.fromhex(sys.argv[2])); sys.exit(not s.recv(4))"
    )
    message = encode({"id": 1, "op": "status"}).hex()
    done = subprocess.run(
        [sys.executable, "-S", "-c", asking, str(path), message, str(uid)],
        cwd="/",
        capture_output=True,
        timeout=20,
        check=False,
    )
    return done.returncode == 0


async def test_client_raises_what_the_manager_says() -> None:
    async with served(Policy(blanks=0, maximum=1)) as (_, client):
        with pytest.raises(StartFailedError) as failed:
            await client.acquire(spec(), Bundle("# fake: fail no_app nothing there"))
        assert failed.value.kind is StartFailure.NO_APP
        await client.acquire(spec("v2"), Bundle(""))
        with pytest.raises(CapacityError):
            await client.acquire(spec("v3"), Bundle(""))


async def test_a_thousand_acquires_over_one_connection_are_one_start() -> None:
    async with served() as (it, client):
        leases = await asyncio.gather(*(client.acquire(spec(), Bundle("")) for _ in range(1000)))
        assert len({lease.sandbox_id for lease in leases}) == 1
        assert it.runtime.launches == 1


async def test_a_slow_start_does_not_hold_up_other_requests() -> None:
    async with served() as (_, client):
        slow = asyncio.create_task(client.acquire(spec(), Bundle("# fake: hang")))
        assert await client.renew([]) == {}
        assert not slow.done()
        slow.cancel()
        await client.stop_api("api")


async def test_the_socket_is_private() -> None:
    async with served() as (it, _):
        assert stat.S_IMODE(it.paths.manager_socket.stat().st_mode) == 0o600


async def test_client_survives_a_restart_of_the_server() -> None:
    async with managed() as it:
        client = ManagerClient(it.paths.manager_socket)
        async with listening(it.manager, it.paths.manager_socket):
            lease = await client.acquire(spec(), Bundle(""))
        waiting = asyncio.create_task(client.find(spec()))
        await asyncio.sleep(0)
        async with listening(it.manager, it.paths.manager_socket):
            assert await waiting == replace(lease, times=None)
            await client.close()


async def test_a_request_in_flight_is_asked_again_after_a_restart() -> None:
    async with managed() as it:
        client = ManagerClient(it.paths.manager_socket)
        async with listening(it.manager, it.paths.manager_socket):
            start = asyncio.create_task(client.acquire(spec(), Bundle("# fake: slow 0.2")))
            await until(lambda: it.statuses == ["starting"])
        async with listening(it.manager, it.paths.manager_socket):
            assert b"200 OK" in await call((await start).socket_path)
            assert it.runtime.launches == 1
            await client.close()


async def test_a_manager_that_is_away_is_unavailable_after_the_deadline(tmp_path: Path) -> None:
    client = ManagerClient(tmp_path / "nobody.sock")
    with pytest.raises(ManagerUnavailableError, match="did not answer"):
        await client.status(seconds=0.1)
    await client.close()


async def test_a_closed_client_refuses() -> None:
    async with served() as (_, client):
        await client.close()
        with pytest.raises(ManagerUnavailableError, match="closed"):
            await client.status()


async def test_code_that_fits_no_frame_is_the_authors_mistake() -> None:
    async with served() as (_, client):
        with pytest.raises(StartFailedError, match="too large"):
            await client.acquire(spec(), Bundle("x" * MAX_FRAME))


GARBAGE = {
    "not json": struct.pack(">I", 3) + b"{]}",
    "not an object": struct.pack(">I", 2) + b"[]",
    "giant": struct.pack(">I", MAX_FRAME + 1),
    "http": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 10,
    "no number": encode({"op": "status"}),
    "text number": encode({"op": "status", "id": "1"}),
    "nested": struct.pack(">I", 200_000) + b"[" * 200_000,
}


@pytest.mark.parametrize("name", sorted(GARBAGE))
async def test_garbage_ends_its_own_connection_only(name: str) -> None:
    async with served() as (it, client):
        await client.status()
        reader, writer = await asyncio.open_unix_connection(it.paths.manager_socket)
        writer.write(GARBAGE[name])
        writer.write_eof()
        with contextlib.suppress(ConnectionError):  # a reset is an end as well
            assert await asyncio.wait_for(reader.read(), 10) == b""
        writer.transport.abort()
        assert (await client.status()).engine_ok


async def test_an_unknown_operation_is_told_and_the_connection_goes_on() -> None:
    async with served() as (it, _):
        reader, writer = await asyncio.open_unix_connection(it.paths.manager_socket)
        for message in ({"id": 1, "op": "run"}, {"id": 2, "op": "status"}):
            writer.write(encode(message))
        answers = []
        for _ in range(2):
            (length,) = struct.unpack(">I", await reader.readexactly(4))
            answers.append(json.loads(await reader.readexactly(length)))
        assert answers[0]["error"]["type"] == "bad_request"
        assert answers[1]["ok"]["runtime"] == "fake"
        writer.transport.abort()
