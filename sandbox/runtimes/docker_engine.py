"""What is asked of a Docker engine, each with a deadline and errors in our own words."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import docker
import docker.errors

from sandbox.runtimes import docker_spec
from sandbox.runtimes.base import RuntimeUnavailableError
from sandbox.runtimes.docker_errors import BUSY, GONE, status_of, translated
from sandbox.runtimes.docker_events import make_client
from sandbox.types import Resources

T = TypeVar("T")
CALL_SECONDS = 30.0
GONE_SECONDS = 20.0
CALLS_AT_ONCE = 8
HTTP_ERROR = 400
FROZEN_ALREADY = "is already paused"
NOT_FROZEN = "is not paused"


@dataclass(frozen=True, slots=True)
class Container:
    """What the engine says of one. `pid` is its first process on the engine's host."""

    container_id: str
    pid: int
    is_paused: bool


class Engine:
    """One connection. The client blocks, so every call runs in a thread."""

    def __init__(self, base_url: str | None) -> None:
        self._base_url = base_url
        self._client: docker.DockerClient | None = None
        self._threads = ThreadPoolExecutor(CALLS_AT_ONCE, thread_name_prefix="docker")

    async def connect(self) -> None:
        """Make the connection if there is none."""
        if self._client is None:
            with translated("no engine answers"):
                self._client = await asyncio.to_thread(make_client, self._base_url)

    async def call(
        self,
        what: str,
        action: Callable[[docker.DockerClient], T],
        *,
        seconds: float = CALL_SECONDS,
    ) -> T:
        """Run a blocking client call."""
        client = self._client
        if client is None:
            raise RuntimeUnavailableError("docker is not prepared")
        with translated(what):
            future = asyncio.get_running_loop().run_in_executor(self._threads, action, client)
            return await asyncio.wait_for(future, seconds)

    async def info(self) -> dict[str, Any]:
        """The engine's description of itself."""
        found: dict[str, Any] = await self.call("no engine answers", lambda client: client.info())
        return found

    async def containers(self, installation: str) -> list[dict[str, Any]]:
        """The engine's rows of all sandboxes of an installation, running or not."""
        return await self.call("cannot list containers", lambda c: _rows(c, installation))

    async def look(self, sandbox_id: str) -> Container:
        """What it says of a container."""
        name = docker_spec.container_name(sandbox_id)
        return await self.call("cannot look at a container", lambda c: _look(c, name))

    async def pause(self, sandbox_id: str) -> None:
        """Freeze a container; one that is frozen stays so."""
        name = docker_spec.container_name(sandbox_id)
        await self.call("cannot freeze", lambda c: _do(c.api.pause, name, FROZEN_ALREADY))

    async def unpause(self, sandbox_id: str) -> None:
        """Thaw a container; one that is not frozen goes on."""
        name = docker_spec.container_name(sandbox_id)
        await self.call("cannot thaw", lambda c: _do(c.api.unpause, name, NOT_FROZEN))

    async def resize(self, sandbox_id: str, resources: Resources) -> None:
        """Change the limits of a container."""
        name = docker_spec.container_name(sandbox_id)
        fields = docker_spec.update_fields(resources)
        await self.call("cannot resize", lambda c: _update(c, name, fields))

    async def remove(self, sandbox_id: str) -> None:
        """Kill and remove a container; returns when the engine no longer knows it."""
        name = docker_spec.container_name(sandbox_id)
        deadline = asyncio.get_running_loop().time() + GONE_SECONDS
        while not await self.call("cannot remove a container", lambda c: _removed(c, name)):
            if asyncio.get_running_loop().time() > deadline:
                raise RuntimeUnavailableError(f"docker: container {name} does not go away")
            await asyncio.sleep(0.02)

    def close(self) -> None:
        """Leave the engine."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        if self._client is not None:
            self._client.close()


def _rows(client: docker.DockerClient, installation: str) -> list[dict[str, Any]]:
    label = f"{docker_spec.LABEL_INSTALLATION}={installation}"
    rows: list[dict[str, Any]] = client.api.containers(all=True, filters={"label": label})
    return [row for row in rows if docker_spec.LABEL_SANDBOX in row["Labels"]]


def _look(client: docker.DockerClient, name: str) -> Container:
    seen = client.api.inspect_container(name)
    state = seen["State"]
    return Container(str(seen["Id"]), int(state["Pid"]), bool(state["Paused"]))


def _do(action: Callable[[str], object], name: str, done_already: str) -> None:
    try:
        action(name)
    except docker.errors.APIError as error:
        if done_already not in str(error.explanation):
            raise


def _update(client: docker.DockerClient, name: str, fields: dict[str, Any]) -> None:
    """The client's own method knows neither NanoCpus nor PidsLimit."""
    api = client.api
    url = f"{api.base_url}/v{api.api_version}/containers/{name}/update"
    answer = api.post(url, json=fields, timeout=CALL_SECONDS)
    if answer.status_code >= HTTP_ERROR:
        raise docker.errors.APIError(answer.text[:500])


def _removed(client: docker.DockerClient, name: str) -> bool:
    """Whether the engine no longer knows it, after being asked to remove it."""
    try:
        client.api.remove_container(name, force=True, v=True)
    except docker.errors.APIError as error:
        if status_of(error) == GONE:
            return True
        if status_of(error) == BUSY:
            return False
        raise
    return True
