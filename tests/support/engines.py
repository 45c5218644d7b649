"""Is a real engine here: skip its tests on a laptop, fail them in continuous integration."""

import contextlib
import os
import shutil
from functools import cache

import docker
import docker.errors
import pytest

from sandbox.runtimes.base import RuntimeUnavailableError
from sandbox.runtimes.docker_flavours import GVISOR, require_usable


def require_docker() -> None:
    """End the test unless a Docker engine answers."""
    _require(_docker_answers(), "no Docker engine answers")


def require_gvisor() -> None:
    """End the test unless the engine starts containers with gVisor, which not every host can.

    The word `optional` lets it be skipped in continuous integration as well.
    """
    require_docker()
    with contextlib.closing(docker.from_env(timeout=5)) as client:
        info = client.info()
    try:
        require_usable(GVISOR, info)
    except RuntimeUnavailableError as error:
        pytest.skip(f"optional: {error}")


def require_bubblewrap() -> None:
    """End the test unless bubblewrap is installed."""
    _require(shutil.which("bwrap") is not None, "bubblewrap is not installed")


def _require(present: bool, reason: str) -> None:
    if present:
        return
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@cache
def _docker_answers() -> bool:
    try:
        client = docker.from_env(timeout=5)
    except docker.errors.DockerException:
        return False
    try:
        return bool(client.ping())
    except (docker.errors.DockerException, OSError):
        return False
    finally:
        client.close()


def require(runtime: str) -> None:
    """End the test unless what this runtime needs is here."""
    {
        "docker": require_docker,
        "gvisor": require_gvisor,
        "bubblewrap": require_bubblewrap,
    }[runtime]()
