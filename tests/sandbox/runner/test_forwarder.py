"""The way out: a loopback port whose connections reach the door, however either side behaves."""

import contextlib
import os
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.runner.pump import BUFFER, Pump
from tests.support.running import Runner, running
from tests.support.waiting import until_blocking

APP = """
import os
print(os.environ["HTTP_PROXY"].rpartition(":")[2])
async def app(scope, receive, send): ...
"""


@contextlib.contextmanager
def door_of(runner: Runner) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(str(runner.directory / "door.sock"))
        door.listen(64)
        door.settimeout(10)
        yield door


def port_of(runner: Runner) -> int:
    while not runner.logs:
        runner.heard("log")
    return int(runner.logs[0])


def dial(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=10)


def children(runner: Runner) -> set[int]:
    path = Path(f"/proc/{runner.process.pid}/task/{runner.process.pid}/children")
    return set(map(int, path.read_text().split()))


def start(runner: Runner, egress: bool) -> int:
    assert runner.specialise(APP, egress=egress)["type"] == "ready"
    return port_of(runner)


def all_of(sock: socket.socket) -> bytes:
    parts = []
    with contextlib.suppress(ConnectionResetError):
        while data := sock.recv(65536):
            parts.append(data)
    return b"".join(parts)


def test_a_connection_reaches_the_door_and_half_closes_pass() -> None:
    with running() as runner, door_of(runner) as door:
        caller = dial(start(runner, egress=True))
        caller.sendall(b"CONNECT cats.example:443")
        caller.shutdown(socket.SHUT_WR)
        served, _ = door.accept()
        with served:
            assert all_of(served) == b"CONNECT cats.example:443"
            served.sendall(b"later")
        assert all_of(caller) == b"later"
        caller.close()


def test_without_egress_every_connection_is_closed_at_once_and_no_process_is_made() -> None:
    with running() as runner, door_of(runner) as door:
        port = start(runner, egress=False)
        for _ in range(40):
            with dial(port) as caller:
                assert all_of(caller) == b""
        assert len(children(runner)) == 1
        door.settimeout(0.05)
        with pytest.raises(TimeoutError):
            door.accept()


def test_egress_that_is_allowed_later_works_from_then_on() -> None:
    with running() as runner, door_of(runner) as door:
        port = start(runner, egress=False)
        runner.tell({"type": "egress", "egress": True})

        def is_forwarded() -> bool:
            with dial(port):
                door.settimeout(0.2)
                with contextlib.suppress(TimeoutError):
                    served, _ = door.accept()
                    served.close()
                    return True
                return False

        until_blocking(is_forwarded)


def test_no_process_carries_bytes_until_somebody_connects() -> None:
    with running() as runner, door_of(runner) as door:
        port = start(runner, egress=True)
        assert len(children(runner)) == 1
        with dial(port), door.accept()[0]:
            assert len(children(runner)) == 2


def test_a_killed_carrier_is_replaced() -> None:
    with running() as runner, door_of(runner) as door:
        (app,) = children(runner)
        port = start(runner, egress=True)
        with dial(port), door.accept()[0]:
            (carrier,) = children(runner) - {app}
        os.kill(carrier, signal.SIGKILL)
        with dial(port) as caller:
            served, _ = door.accept()
            with served:
                served.sendall(b"again")
            assert all_of(caller) == b"again"


def test_a_door_that_is_not_there_closes_the_connection() -> None:
    with running() as runner, dial(start(runner, egress=True)) as caller:
        assert all_of(caller) == b""


@contextlib.contextmanager
def pumping(most: int) -> Iterator[tuple[int, socket.socket]]:
    """A pump in a thread, its port and the far listener. It ends when all has been quiet."""
    near = socket.create_server(("127.0.0.1", 0))
    far = socket.create_server(("127.0.0.1", 0))
    far.settimeout(10)
    pump = Pump(near, lambda: socket.create_connection(far.getsockname()), most)
    thread = threading.Thread(target=pump.run, args=(0.2,))
    thread.start()
    with near, far:
        yield near.getsockname()[1], far
        thread.join(20)
        assert not thread.is_alive()


def test_megabytes_pass_in_both_directions_at_once() -> None:
    data = os.urandom(1024 * 1024) * 4
    with pumping(4) as (port, far), dial(port) as caller:
        served, _ = far.accept()

        def echo() -> None:
            with served:
                while part := served.recv(65536):
                    served.sendall(part)

        def send() -> None:
            caller.sendall(data)
            caller.shutdown(socket.SHUT_WR)

        threads = [threading.Thread(target=each) for each in (echo, send)]
        for thread in threads:
            thread.start()
        assert all_of(caller) == data
        for thread in threads:
            thread.join()


def test_who_does_not_read_is_not_read_for() -> None:
    """What is in memory stays bounded: the sender waits as soon as all buffers are full."""
    with pumping(4) as (port, far), dial(port) as caller:
        served, _ = far.accept()
        caller.settimeout(0.5)
        with pytest.raises(TimeoutError):
            caller.sendall(b"x" * 512 * BUFFER)
        served.close()


def test_connections_over_the_cap_wait_their_turn() -> None:
    with pumping(1) as (port, far), dial(port) as first, dial(port) as second:
        served, _ = far.accept()
        far.settimeout(0.1)
        with pytest.raises(TimeoutError):
            far.accept()
        served.close()
        first.close()
        far.settimeout(10)
        served, _ = far.accept()
        with served:
            served.sendall(b"yours")
        assert all_of(second) == b"yours"


def test_a_torn_connection_takes_only_its_pair_along() -> None:
    with pumping(4) as (port, far), dial(port) as good:
        served, _ = far.accept()
        with dial(port) as bad:
            torn, _ = far.accept()
            linger = b"\x01\x00\x00\x00\x00\x00\x00\x00"  # close with a reset
            bad.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        with torn:
            assert all_of(torn) == b""
        with served:
            served.sendall(b"fine")
        assert all_of(good) == b"fine"
