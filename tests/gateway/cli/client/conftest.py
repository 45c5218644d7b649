"""Fixtures of the client commands: a server on a real socket, and somebody signed in."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
import uvicorn

from gateway.cli.client import register
from tests.support.client_command import Command
from tests.support.client_server import EMAIL, PASSWORD, World, application

DEADLINE = 20.0


@pytest.fixture(scope="session")
def running() -> Iterator[World]:
    """One server for all tests; `world` gives each a fresh state."""
    state = World()
    config = uvicorn.Config(application(state), port=0, log_level="error", ws="none")
    server = uvicorn.Server(config)
    listener = config.bind_socket()
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    state.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    yield state
    server.should_exit = True
    thread.join(DEADLINE)
    listener.close()
    assert not thread.is_alive()


@pytest.fixture
def world(running: World) -> World:
    """The server's state, as new."""
    vars(running).update(vars(World(url=running.url)))
    return running


@pytest.fixture
def sandgate(tmp_path: Path) -> Command:
    """The command, with a configuration folder of its own."""
    app = typer.Typer()
    register(app)
    return Command(app, tmp_path / "config")


@pytest.fixture
def signed_in(sandgate: Command, world: World) -> Command:
    """The command, signed in."""
    result = sandgate("login", "--url", world.url, "--email", EMAIL, "--password", PASSWORD)
    assert result.exit_code == 0, result.output
    return sandgate
