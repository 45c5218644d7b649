"""Calls over connections that the app's process dials, as where no descriptor can be handed in."""

import contextlib
import socket
from collections.abc import Iterator

from sandbox.runner.dialling import SPARE
from sandbox.types import EndReason
from tests.support.running import Runner, running

APP = """
from fastapi import FastAPI
app = FastAPI()
@app.get("/{name}")
async def hello(name: str): return name
"""


@contextlib.contextmanager
def relay_of(runner: Runner) -> Iterator[socket.socket]:
    """The place of the relay: it takes the app's connections and calls over them."""
    path = runner.directory / "calls.sock"
    with socket.socket(socket.AF_UNIX) as relay:
        relay.bind(str(path))
        relay.listen(64)
        relay.settimeout(10)
        yield relay
    path.unlink()


def accept(relay: socket.socket, number: int) -> list[socket.socket]:
    connections = [relay.accept()[0] for _ in range(number)]
    for each in connections:
        each.settimeout(10)
    return connections


def call(connection: socket.socket, path: str, last: bool = True) -> bytes:
    end = "Connection: close\r\n" if last else ""
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n{end}\r\n".encode())
    answer = b""
    # of a connection that stays open the answer's last bytes are known: the app tells the path
    while last or not answer.endswith(f'"{path[1:]}"'.encode()):
        data = connection.recv(65536)
        if not data:
            break
        answer += data
    return answer


def test_spare_connections_are_served_and_replaced_one_by_one() -> None:
    with running() as runner, relay_of(runner) as relay:
        assert runner.specialise(APP, listener="dial")["type"] == "ready"
        spare = accept(relay, SPARE)
        for number in range(3 * SPARE):
            with spare.pop(0) as connection:
                assert call(connection, f"/{number}").endswith(f'"{number}"'.encode())
            spare += accept(relay, 1)
        relay.settimeout(0.1)
        with contextlib.suppress(TimeoutError):
            raise AssertionError(f"one too many: {relay.accept()}")
        for connection in spare:
            connection.close()


def test_another_is_dialled_as_soon_as_one_is_used_not_when_it_ends() -> None:
    with running() as runner, relay_of(runner) as relay:
        runner.specialise(APP, listener="dial")
        first, *rest = accept(relay, SPARE)
        assert b"200 OK" in call(first, "/a", last=False)
        (another,) = accept(relay, 1)
        assert call(another, "/b").endswith(b'"b"')
        assert b"200 OK" in call(first, "/c", last=False)  # kept alive
        for connection in (first, another, *rest):
            connection.close()


def test_lost_connections_are_dialled_again_also_by_another_relay() -> None:
    with running() as runner:
        with relay_of(runner) as relay:
            runner.specialise(APP, listener="dial")
            for connection in accept(relay, SPARE):
                connection.close()
        with relay_of(runner) as relay:
            connections = accept(relay, SPARE)
            assert call(connections[0], "/a").endswith(b'"a"')
            for connection in connections:
                connection.close()


def test_it_is_ready_without_a_relay_and_stops_as_usual() -> None:
    with running() as runner:
        assert runner.specialise(APP, listener="dial")["type"] == "ready"
        runner.tell({"type": "stop", "seconds": 5})
        assert runner.heard("exited")["end"] == EndReason.STOPPED
        assert runner.process.wait(10) == 0


def test_an_order_whose_listener_did_not_come_fails() -> None:
    with running() as runner:
        order = {"type": "specialise", "api_id": "a", "version_id": "v", "filename": "app.py"}
        runner.tell({**order, "code": APP, "seconds": 5})
        assert "listener" in runner.verdict()["reason"]
