"""Listeners on their way from the manager to the process that serves them, over real sockets."""

import asyncio
import contextlib
import os
import socket
import stat
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from sandbox.channel import bind
from sandbox.outlet import Outlet, clean
from sandbox.outlet_server import serving_outlet
from sandbox.runner.frames import MAX_FRAME, Message, encode
from tests.support.waiting import until


@dataclass
class Peer:
    """A handler that remembers everything and answers each connection with its detail."""

    seen: list[tuple[Any, ...]] = field(default_factory=list)
    say: dict[str, Callable[[str], None]] = field(default_factory=dict)
    listeners: dict[str, socket.socket] = field(default_factory=dict)

    def opened(
        self,
        sandbox_id: str,
        api_id: str,
        listener: socket.socket,
        detail: dict[str, Any],
        say: Callable[[str], None],
    ) -> None:
        self.seen.append(("opened", sandbox_id, api_id, detail))
        self.say[sandbox_id] = say
        if old := self.listeners.pop(sandbox_id, None):
            old.close()
        self.listeners[sandbox_id] = listener

    def updated(self, api_id: str, detail: dict[str, Any]) -> None:
        self.seen.append(("updated", api_id, detail))

    def closed(self, sandbox_id: str) -> None:
        self.seen.append(("closed", sandbox_id))
        self.listeners.pop(sandbox_id).close()


@dataclass
class Managed:
    path: Path
    outlet: Outlet
    said: list[tuple[str, str]]


@pytest.fixture
async def managed(tmp_path: Path) -> AsyncIterator[Managed]:
    said: list[tuple[str, str]] = []
    path = tmp_path / "door.sock"
    outlet = Outlet(path, lambda sandbox_id, text: said.append((sandbox_id, text)))
    running = asyncio.create_task(outlet.run())
    yield Managed(path, outlet, said)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


@asynccontextmanager
async def peer_at(path: Path, peer: Peer | None = None) -> AsyncIterator[Peer]:
    peer = peer or Peer()
    async with serving_outlet(path, peer, {os.geteuid()}):
        yield peer


def open_one(it: Managed, sandbox_id: str = "s1", detail: dict[str, Any] | None = None) -> Path:
    path = it.path.parent / f"{sandbox_id}.sock"
    path.unlink(missing_ok=True)
    with bind(path) as listener:
        it.outlet.open(sandbox_id, "api", listener, detail or {})
    return path


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


async def test_the_peer_serves_the_listener_of_a_sandbox(managed: Managed) -> None:
    path = open_one(managed, detail={"hosts": ["a.example"]})
    async with peer_at(managed.path) as peer:
        await until(lambda: "s1" in peer.listeners)
        assert peer.seen == [("opened", "s1", "api", {"hosts": ["a.example"]})]
        assert not os.get_inheritable(peer.listeners["s1"].fileno())
        _, writer = await asyncio.open_unix_connection(path)
        connection, _ = await asyncio.get_running_loop().sock_accept(peer.listeners["s1"])
        connection.close()
        writer.close()


async def test_update_and_close_reach_the_peer_in_order(managed: Managed) -> None:
    async with peer_at(managed.path) as peer:
        open_one(managed)
        await until(lambda: len(peer.seen) == 1)
        managed.outlet.update("api", {"hosts": []})
        await until(lambda: len(peer.seen) == 2)
        managed.outlet.close("s1")
        await until(lambda: len(peer.seen) == 3)
    assert peer.seen[1:] == [("updated", "api", {"hosts": []}), ("closed", "s1")]
    assert peer.listeners == {}


async def test_update_of_an_api_without_sandboxes_is_not_told(managed: Managed) -> None:
    async with peer_at(managed.path) as peer:
        managed.outlet.update("other", {"hosts": ["x"]})
        managed.outlet.close("never opened")
        open_one(managed)
        await until(lambda: len(peer.seen) == 1)
    assert peer.seen[0][0] == "opened"


async def test_a_new_peer_gets_the_newest_state_again(managed: Managed) -> None:
    async with peer_at(managed.path) as first:
        open_one(managed, "s1", {"n": 1})
        open_one(managed, "s2", {"n": 1})
        await until(lambda: len(first.seen) == 2)
    managed.outlet.update("api", {"n": 2})
    managed.outlet.close("s2")
    open_one(managed, "s3", {"n": 2})
    async with peer_at(managed.path) as second:
        await until(lambda: len(second.seen) == 2)
    told = [("opened", "s1", "api", {"n": 2}), ("opened", "s3", "api", {"n": 2})]
    assert second.seen[:2] == told


async def test_a_new_manager_closes_what_it_did_not_take_over(tmp_path: Path) -> None:
    path = tmp_path / "door.sock"
    async with peer_at(path) as peer:
        await manage_until(path, ("s1", "s2"), lambda: len(peer.seen) == 2)
        assert set(peer.listeners) == {"s1", "s2"}
        await manage_until(path, ("s2",), lambda: ("closed", "s1") in peer.seen)
        assert set(peer.listeners) == {"s2"}


async def manage_until(path: Path, opened: Sequence[str], done: Callable[[], bool]) -> None:
    """A manager with these sandboxes, dead as soon as the condition holds."""
    it = Managed(path, Outlet(path, lambda *_: None), [])
    for sandbox_id in opened:
        open_one(it, sandbox_id)
    running = asyncio.create_task(it.outlet.run())
    await until(done)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_connections_wait_in_the_backlog_until_there_is_a_peer(managed: Managed) -> None:
    path = open_one(managed)
    _, writer = await asyncio.open_unix_connection(path)
    async with peer_at(managed.path) as peer:
        await until(lambda: "s1" in peer.listeners)
        async with asyncio.timeout(5):
            connection, _ = await asyncio.get_running_loop().sock_accept(peer.listeners["s1"])
        connection.close()
    writer.close()


async def test_lines_reach_the_owner_cleaned_and_cut(managed: Managed) -> None:
    async with peer_at(managed.path) as peer:
        open_one(managed)
        await until(lambda: "s1" in peer.say)
        peer.say["s1"]("refused\x1b[31m\nforged")
        peer.say["s1"]("x" * 100_000)
        await until(lambda: len(managed.said) == 2)
    assert managed.said[0] == ("s1", "refused [31m forged")
    assert managed.said[1] == ("s1", "x" * 1000)


async def test_lines_are_dropped_when_there_is_no_manager_or_it_does_not_read(
    tmp_path: Path,
) -> None:
    async with peer_at(tmp_path / "p.sock") as peer:
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(str(tmp_path / "p.sock"))
        with bind(tmp_path / "s1.sock") as listener:
            frame = encode(opened_message())
            socket.send_fds(sock, [frame], [listener.fileno()])
        await until(lambda: "s1" in peer.say)
        for _ in range(10_000):
            peer.say["s1"]("y" * 1000)
        sock.close()
        await asyncio.sleep(0)
        peer.say["s1"]("nobody hears this")


def opened_message(sandbox_id: str = "s1") -> Message:
    return {"type": "opened", "sandbox_id": sandbox_id, "api_id": "api", "detail": {}}


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        encode({"type": "strange"}),
        encode({"type": "closed", "sandbox_id": 7}),
        encode({"type": "opened", "sandbox_id": "s", "api_id": "a", "detail": []}),
        encode(opened_message()),  # without its descriptor
        (MAX_FRAME + 1).to_bytes(4, "big"),
        (2).to_bytes(4, "big") + b"[]",
    ],
)
async def test_nonsense_to_the_peer_ends_that_connection_only(
    managed: Managed, data: bytes
) -> None:
    async with peer_at(managed.path) as peer:
        reader, writer = await asyncio.open_unix_connection(managed.path)
        writer.write(data)
        with contextlib.suppress(ConnectionResetError):  # unread bytes when it was closed
            assert await reader.read() == b""
        writer.close()
        open_one(managed)
        await until(lambda: ("opened", "s1", "api", {}) in peer.seen)


async def test_descriptors_that_are_no_listener_are_refused_and_closed(tmp_path: Path) -> None:
    path = tmp_path / "p.sock"
    async with peer_at(path) as peer:
        before = open_descriptors()
        plain, other = socket.socketpair()
        with plain, other, socket.socket() as tcp, open(os.devnull) as file:
            tcp.listen()
            for descriptor in (plain.fileno(), tcp.fileno(), file.fileno()):
                with socket.socket(socket.AF_UNIX) as sock:
                    sock.connect(str(path))
                    socket.send_fds(sock, [encode(opened_message())], [descriptor] * 3)
                    sock.setblocking(False)
                    assert await asyncio.get_running_loop().sock_recv(sock, 10) == b""
        assert peer.seen == []
        await until(lambda: open_descriptors() == before)


@pytest.mark.parametrize(
    "data", [b"\xff\xff\xff\xff", encode({"type": "said"}), encode({"type": "x", "text": ""})]
)
async def test_nonsense_from_the_peer_makes_the_manager_dial_again(
    managed: Managed, data: bytes
) -> None:
    calls = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal calls
        calls += 1
        writer.write(data)
        await reader.read()
        writer.close()

    server = await asyncio.start_unix_server(talk, managed.path)
    await until(lambda: calls >= 2)
    server.close()
    await server.wait_closed()
    async with peer_at(managed.path) as peer:
        open_one(managed)
        await until(lambda: len(peer.seen) == 1)


async def test_said_about_a_sandbox_that_is_not_there_is_ignored(managed: Managed) -> None:
    async with peer_at(managed.path) as peer:
        open_one(managed)
        await until(lambda: "s1" in peer.say)
        managed.outlet.close("s1")
        peer.say["s1"]("late")
        open_one(managed, "s2")
        await until(lambda: "s2" in peer.say)
        peer.say["s2"]("here")
        await until(lambda: bool(managed.said))
    assert managed.said == [("s2", "here")]


async def test_other_users_are_turned_away(tmp_path: Path) -> None:
    path = tmp_path / "p.sock"
    async with serving_outlet(path, Peer(), {os.geteuid() + 1}):
        reader, writer = await asyncio.open_unix_connection(path)
        assert await reader.read() == b""
        writer.close()


async def test_the_socket_is_private_unless_told_and_removed_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "p.sock"
    async with serving_outlet(path, Peer(), {0}):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    async with serving_outlet(path, Peer(), {0}, mode=0o660):
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
    assert list(tmp_path.iterdir()) == []


async def test_a_peer_that_reads_nothing_costs_one_entry_a_sandbox(
    managed: Managed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sandbox.outlet._SEND_SECONDS", 0.2)
    with socket.socket(socket.AF_UNIX) as deaf:
        deaf.bind(str(managed.path))
        deaf.listen(100)
        open_one(managed)
        before = open_descriptors()
        for number in range(2000):
            managed.outlet.update("api", {"n": number, "filler": "x" * 1000})
            open_one(managed, "s2", {"n": number, "filler": "x" * 1000})
            await asyncio.sleep(0)
        managed.outlet.close("s2")
        assert open_descriptors() <= before + 3  # the connection, and one entry being sent
        managed.path.unlink()
    async with peer_at(managed.path) as peer:
        await until(lambda: bool(peer.seen))
        assert peer.seen[0][:3] == ("opened", "s1", "api")
        assert peer.seen[0][3]["n"] == 1999


async def test_a_detail_that_does_not_fit_allows_nothing(managed: Managed) -> None:
    async with peer_at(managed.path) as peer:
        open_one(managed, detail={"hosts": ["x" * MAX_FRAME]})
        await until(lambda: bool(peer.seen))
    assert peer.seen[0] == ("opened", "s1", "api", {})


async def test_nothing_stays_open(tmp_path: Path) -> None:
    before = open_descriptors()
    it = Managed(tmp_path / "p.sock", Outlet(tmp_path / "p.sock", lambda *_: None), [])
    running = asyncio.create_task(it.outlet.run())
    async with peer_at(it.path) as peer:
        for number in range(50):
            open_one(it, f"s{number}")
        await until(lambda: len(peer.listeners) == 50)
        it.outlet.close("s7")
        await until(lambda: len(peer.listeners) == 49)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert open_descriptors() == before


def test_clean_keeps_ordinary_text() -> None:
    assert clean("  a.example: refused ü\t") == "a.example: refused ü"
