"""Sandboxes as containers of a Docker engine."""

import asyncio
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import docker
import docker.errors

from sandbox.runtimes import docker_spec, seccomp
from sandbox.runtimes.base import Found, Handle, Launch, RuntimeUnavailableError
from sandbox.runtimes.docker_errors import BUSY, GONE, status_of, translated
from sandbox.runtimes.docker_events import Event, EventWatch, make_client
from sandbox.runtimes.docker_facts import facts_of, missing_of
from sandbox.runtimes.identity import NOBODY, uid_of
from sandbox.runtimes.image import DEFAULT_BASE, ensure_image
from sandbox.runtimes.root import RunnerRoot, build_root
from sandbox.types import EndReason, Resources, Tier

T = TypeVar("T")
CALL_SECONDS = 30.0
BUILD_SECONDS = 300.0
GONE_SECONDS = 20.0
OOM_SECONDS = 0.3  # the engine may tell of the end before it tells of the reason
CALLS_AT_ONCE = 8
HTTP_ERROR = 400
ALREADY = "is already paused"
NOT_PAUSED = "is not paused"


class DockerHandle:
    """One container."""

    def __init__(self, runtime: "DockerRuntime", sandbox_id: str) -> None:
        self._runtime = runtime
        self._sandbox_id = sandbox_id
        self.started = False  # until then the engine's lists need not contain it
        self.ended = asyncio.Event()
        self.out_of_memory = asyncio.Event()

    @property
    def sandbox_id(self) -> str:
        """The id given at launch."""
        return self._sandbox_id

    async def wait(self) -> None:
        """Return when the container has ended, whoever ended it."""
        await self.ended.wait()

    async def end_reason(self) -> EndReason | None:
        """MEMORY when the engine tells of it."""
        try:
            await asyncio.wait_for(self.out_of_memory.wait(), OOM_SECONDS)
        except TimeoutError:
            return None
        return EndReason.MEMORY

    async def freeze(self) -> None:
        """Stop all its processes where they are."""
        await self._runtime.pause(self._sandbox_id)

    async def thaw(self) -> None:
        """Let its processes go on."""
        await self._runtime.unpause(self._sandbox_id)

    async def resize(self, resources: Resources) -> None:
        """Give it other limits."""
        await self._runtime.update(self._sandbox_id, resources)

    async def memory_bytes(self) -> int | None:
        """What it uses now."""
        return None

    async def destroy(self) -> None:
        """Kill and remove the container; returns when the engine no longer knows it."""
        await self._runtime.discard(self._sandbox_id)
        self.ended.set()


class DockerRuntime:
    """Starts sandboxes through an engine; its answers, not our memory, say what lives."""

    name = "docker"
    tier = Tier.RUNC
    takes_descriptors = True
    can_freeze = True

    def __init__(
        self,
        data_dir: Path,
        installation: str,
        *,
        base_image: str = DEFAULT_BASE,
        base_url: str | None = None,
        root: RunnerRoot | None = None,
    ) -> None:
        self._data_dir = data_dir
        self._installation = installation
        self._base_image = base_image
        self._base_url = base_url
        self._root = root
        self._profile = json.dumps(seccomp.load_profile())
        self._image = ""
        self._facts = docker_spec.EngineFacts(cgroup_version=2, remaps_users=False)
        self._handles: dict[str, DockerHandle] = {}
        self._client: docker.DockerClient | None = None
        self._watch: EventWatch | None = None
        self._resyncs: set[asyncio.Task[None]] = set()
        self._threads = ThreadPoolExecutor(CALLS_AT_ONCE, thread_name_prefix="docker")

    async def prepare(self) -> None:
        """Connect, build runner root and image, follow events. May be called again."""
        if self._client is None:
            with translated("no engine answers"):
                self._client = await asyncio.to_thread(make_client, self._base_url)
        info = await self._call("no engine answers", lambda client: client.info())
        self._facts = facts_of(info)
        if self._root is None:
            self._root = await asyncio.to_thread(build_root, self._data_dir)
        root = self._root
        self._image = await self._call(
            "cannot make the image",
            lambda client: ensure_image(client, root, self._base_image),
            seconds=BUILD_SECONDS,
        )
        if self._watch is None:
            self._watch = EventWatch(
                self._base_url, self._installation, self._on_event, self._on_connected
            )

    async def check(self) -> tuple[str, ...]:
        """Walls and limits that this engine does not give."""
        return missing_of(await self._call("no engine answers", lambda client: client.info()))

    async def launch(self, launch: Launch) -> Handle:
        """Create and start a container; a failed or cancelled start leaves none."""
        fields = docker_spec.container_fields(
            launch,
            image=self._image,
            uid=NOBODY if self._facts.remaps_users else uid_of(launch.sandbox_id),
            profile=self._profile,
            facts=self._facts,
        )
        handle = DockerHandle(self, launch.sandbox_id)
        self._handles[launch.sandbox_id] = handle
        starting = asyncio.ensure_future(
            self._call("cannot start a container", lambda client: self._run(client, fields))
        )
        try:
            await asyncio.shield(starting)
        except BaseException:
            await asyncio.shield(self._undo(starting, launch.sandbox_id))
            raise
        handle.started = True
        return handle

    def _run(self, client: docker.DockerClient, fields: dict[str, Any]) -> None:
        """Create and start; an image that somebody removed is made again."""
        try:
            created = client.api.create_container(**fields)
        except docker.errors.ImageNotFound:
            if self._root is None:
                raise
            ensure_image(client, self._root, self._base_image)
            created = client.api.create_container(**fields)
        client.api.start(created["Id"])

    async def _undo(self, starting: "asyncio.Future[None]", sandbox_id: str) -> None:
        """Remove a container whose start did not come to its end, once it has."""
        await asyncio.wait([starting], timeout=CALL_SECONDS)
        if starting.done():
            starting.exception()  # reported already, or of no interest to who cancelled
        try:
            await self.discard(sandbox_id)
        except RuntimeUnavailableError:
            # the engine is away; should the container exist, the next reconcile finds it
            self._handles.pop(sandbox_id, None)

    async def find(self, installation: str) -> list[Found]:
        """Every container of the installation, running or not."""
        rows = await self._call("cannot list containers", lambda c: _list(c, installation))
        return [
            Found(
                sandbox_id=row["Labels"][docker_spec.LABEL_SANDBOX],
                labels=row["Labels"],
                alive=row["State"] in ("running", "paused"),
            )
            for row in rows
        ]

    async def adopt(self, found: Found) -> Handle | None:
        """Take over a living container; None when it has just ended."""
        handle = DockerHandle(self, found.sandbox_id)
        self._handles[found.sandbox_id] = handle
        if found.sandbox_id not in await self._living():
            self._handles.pop(found.sandbox_id, None)
            return None
        handle.started = True
        return handle

    async def remove(self, found: Found) -> None:
        """Remove a container nobody wants."""
        await self.discard(found.sandbox_id)

    async def discard(self, sandbox_id: str) -> None:
        """Kill and remove a container by its sandbox; one that is gone already is fine."""
        name = docker_spec.container_name(sandbox_id)
        deadline = asyncio.get_running_loop().time() + GONE_SECONDS
        while not await self._call("cannot remove a container", lambda c: _removed(c, name)):
            if asyncio.get_running_loop().time() > deadline:
                raise RuntimeUnavailableError(f"docker: container {name} does not go away")
            await asyncio.sleep(0.02)
        self._handles.pop(sandbox_id, None)

    async def pause(self, sandbox_id: str) -> None:
        """Freeze a container; one that is frozen already stays so."""
        name = docker_spec.container_name(sandbox_id)
        await self._call("cannot freeze", lambda c: _unless(ALREADY, c.api.pause, name))

    async def unpause(self, sandbox_id: str) -> None:
        """Thaw a container; one that is not frozen goes on."""
        name = docker_spec.container_name(sandbox_id)
        await self._call("cannot thaw", lambda c: _unless(NOT_PAUSED, c.api.unpause, name))

    async def update(self, sandbox_id: str, resources: Resources) -> None:
        """Change the limits of a container."""
        name = docker_spec.container_name(sandbox_id)
        fields = docker_spec.update_fields(resources)
        await self._call("cannot resize", lambda c: _update(c, name, fields))

    async def close(self) -> None:
        """Leave the engine; containers go on."""
        for task in list(self._resyncs):
            task.cancel()
        if self._watch is not None:
            await self._watch.close()
        self._threads.shutdown(wait=False, cancel_futures=True)
        if self._client is not None:
            self._client.close()

    async def _call(
        self,
        what: str,
        action: Callable[[docker.DockerClient], T],
        *,
        seconds: float = CALL_SECONDS,
    ) -> T:
        """Run a blocking client call in a thread, with a deadline and in our words."""
        client = self._client
        if client is None:
            raise RuntimeUnavailableError("docker is not prepared")
        with translated(what):
            future = asyncio.get_running_loop().run_in_executor(self._threads, action, client)
            return await asyncio.wait_for(future, seconds)

    def _on_event(self, event: Event) -> None:
        handle = self._handles.get(event.sandbox_id)
        if handle is None:
            return
        if event.kind == "oom":
            handle.out_of_memory.set()
        else:
            handle.ended.set()

    def _on_connected(self) -> None:
        task = asyncio.get_running_loop().create_task(self._resync())
        self._resyncs.add(task)
        task.add_done_callback(self._resyncs.discard)

    async def _resync(self) -> None:
        """What ended while nobody listened has ended now."""
        before = dict(self._handles)
        try:
            living = await self._living()
        except RuntimeUnavailableError:
            return  # the event thread comes back, and with it this
        for sandbox_id, handle in before.items():
            if sandbox_id not in living and handle.started:
                handle.ended.set()

    async def _living(self) -> set[str]:
        return {found.sandbox_id for found in await self.find(self._installation) if found.alive}


def _list(client: docker.DockerClient, installation: str) -> list[dict[str, Any]]:
    label = f"{docker_spec.LABEL_INSTALLATION}={installation}"
    rows: list[dict[str, Any]] = client.api.containers(all=True, filters={"label": label})
    return [row for row in rows if docker_spec.LABEL_SANDBOX in row["Labels"]]


def _unless(words: str, action: Callable[[str], object], name: str) -> None:
    """Do it; an engine that answers with these words has found it done."""
    try:
        action(name)
    except docker.errors.APIError as error:
        if words not in str(error.explanation):
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
