"""Every runtime; the real ones over one runner root that is built once a session."""

import atexit
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from uuid import uuid4

import pytest

from sandbox.runtimes.base import Runtime
from sandbox.runtimes.bubblewrap import BubblewrapRuntime
from sandbox.runtimes.docker import DockerRuntime
from sandbox.runtimes.docker_flavours import GVISOR, RUNC
from sandbox.runtimes.fake import FakeRuntime
from sandbox.runtimes.root import RunnerRoot, build_root
from tests.support.engines import require

REAL = [
    pytest.param("bubblewrap", marks=pytest.mark.bubblewrap),
    pytest.param("docker", marks=pytest.mark.docker),
]
# gVisor is skipped, with the reason, where the engine does not have it
EVERY = [*REAL, pytest.param("gvisor", marks=pytest.mark.docker)]
FLAVOURS = {flavour.name: flavour for flavour in (RUNC, GVISOR)}
# what the double's managers share, as real ones share an engine
_DOUBLES: dict[str, FakeRuntime] = {}


@cache
def runner_root() -> RunnerRoot:
    """The root with the real runner."""
    folder = Path(tempfile.mkdtemp(prefix="sgr-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return build_root(folder)


def make(name: str, installation: str) -> Runtime:
    """A runtime by name, not prepared; ends the test when its engine is missing."""
    if name == "fake":
        return _DOUBLES.setdefault(installation, FakeRuntime())
    require(name)
    if name in FLAVOURS:
        return DockerRuntime(
            Path("/nonexistent"), installation, root=runner_root(), flavour=FLAVOURS[name]
        )
    return BubblewrapRuntime(Path("/nonexistent"), installation, root=runner_root())


@asynccontextmanager
async def prepared(name: str, installation: str) -> AsyncIterator[Runtime]:
    """A prepared runtime that is closed at the end."""
    runtime = make(name, installation)
    await runtime.prepare()
    try:
        yield runtime
    finally:
        await runtime.close()


@asynccontextmanager
async def short_folder() -> AsyncIterator[Path]:
    """A folder whose path is short enough for sockets and open to sandbox users."""
    folder = Path(tempfile.mkdtemp(prefix="sgb-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def new_installation() -> str:
    """A name no other test uses."""
    return f"test-{uuid4().hex[:12]}"
