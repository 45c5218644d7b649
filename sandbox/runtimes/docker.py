"""Sandboxes as containers of a Docker engine."""

import asyncio
import contextlib
import json
from pathlib import Path
from typing import Any

import docker
import docker.errors

from sandbox.runtimes import cgroup, docker_spec, seccomp
from sandbox.runtimes.base import Found, Handle, Launch, RuntimeUnavailableError
from sandbox.runtimes.cgroup_find import find_groups, group_of_container
from sandbox.runtimes.docker_engine import CALL_SECONDS, Engine
from sandbox.runtimes.docker_events import Event, EventWatch
from sandbox.runtimes.docker_facts import facts_of, missing_of
from sandbox.runtimes.docker_flavours import RUNC, Flavour, require_usable
from sandbox.runtimes.docker_handle import DockerHandle
from sandbox.runtimes.gvisor import enter_group, missing_under
from sandbox.runtimes.identity import NOBODY, uid_of
from sandbox.runtimes.image import DEFAULT_BASE, ensure_image
from sandbox.runtimes.root import RunnerRoot, build_root

BUILD_SECONDS = 300.0


class DockerRuntime:
    """Starts sandboxes through an engine; its answers, not our memory, say what lives."""

    def __init__(
        self,
        data_dir: Path,
        installation: str,
        *,
        base_image: str = DEFAULT_BASE,
        base_url: str | None = None,
        root: RunnerRoot | None = None,
        flavour: Flavour = RUNC,
    ) -> None:
        self.name = flavour.name
        self.tier = flavour.tier
        self.takes_descriptors = flavour.takes_descriptors
        self.can_freeze = True
        self._flavour = flavour
        self._data_dir = data_dir
        self._installation = installation
        self._base_image = base_image
        self._base_url = base_url
        self._root = root
        self._profile = json.dumps(seccomp.load_profile())
        self._image = ""
        self._facts = docker_spec.EngineFacts(cgroup_version=2, remaps_users=False)
        self._handles: dict[str, DockerHandle] = {}
        self._engine = Engine(base_url)
        self._watch: EventWatch | None = None
        self._resyncs: set[asyncio.Task[None]] = set()
        self._groups = cgroup.Hierarchies(1, {})  # ours, for a runtime that makes none itself

    async def prepare(self) -> None:
        """Connect, build runner root and image, follow events. May be called again."""
        await self._engine.connect()
        info = await self._engine.info()
        require_usable(self._flavour, info)
        self._facts = facts_of(info, self._flavour)
        if self._facts.ignores_groups:
            self._groups = await asyncio.to_thread(find_groups)
        if self._root is None:
            self._root = await asyncio.to_thread(build_root, self._data_dir)
        root = self._root
        self._image = await self._engine.call(
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
        info = await self._engine.info()
        require_usable(self._flavour, info)
        if self._flavour is RUNC:
            return missing_of(info)
        return missing_under(info, self._groups)

    async def launch(self, launch: Launch) -> Handle:
        """Create and start a container; a failed or cancelled start leaves none."""
        if self._root is None:
            raise RuntimeUnavailableError("docker is not prepared")
        fields = docker_spec.container_fields(
            launch,
            image=self._image,
            root=self._root.path,
            uid=NOBODY if self._facts.remaps_users else uid_of(launch.sandbox_id),
            profile=self._profile,
            facts=self._facts,
        )
        handle = self._handle(launch.sandbox_id)
        starting = asyncio.ensure_future(self._start(launch, fields))
        try:
            await asyncio.shield(starting)
        except BaseException:
            await asyncio.shield(self._undo(starting, launch.sandbox_id))
            raise
        handle.started = True
        return handle

    def _handle(self, sandbox_id: str) -> DockerHandle:
        handle = DockerHandle(
            self._engine,
            sandbox_id,
            self._group_of,
            self.discard,
            engine_resizes=self._flavour is RUNC,
        )
        self._handles[sandbox_id] = handle
        return handle

    async def _start(self, launch: Launch, fields: dict[str, Any]) -> None:
        await self._engine.call("cannot start a container", lambda c: self._run(c, fields))
        if self._groups.folders:
            pid = (await self._engine.look(launch.sandbox_id)).pid
            group = self._own_group(launch.sandbox_id)
            await asyncio.to_thread(enter_group, group, launch.resources, pid)

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
        """Every container of the installation that this runtime started, running or not."""
        return [
            Found(
                sandbox_id=row["Labels"][docker_spec.LABEL_SANDBOX],
                labels=row["Labels"],
                alive=row["State"] in ("running", "paused"),
            )
            for row in await self._engine.containers(installation)
            if row["Labels"].get(docker_spec.LABEL_RUNTIME, RUNC.name) == self.name
        ]

    async def adopt(self, found: Found) -> Handle | None:
        """Take over a living container, thawed; None when it has just ended."""
        handle = self._handle(found.sandbox_id)
        if found.sandbox_id not in await self._living():
            self._handles.pop(found.sandbox_id, None)
            return None
        await handle.thaw_whoever_froze()
        handle.started = True
        return handle

    async def remove(self, found: Found) -> None:
        """Remove a container nobody wants."""
        await self.discard(found.sandbox_id)

    async def discard(self, sandbox_id: str) -> None:
        """Kill and remove a container by its sandbox; one that is gone already is fine."""
        group = await self._frozen_group(sandbox_id)
        if group is not None:
            await asyncio.to_thread(group.kill)
        await self._engine.remove(sandbox_id)
        if self._groups.folders:
            await asyncio.to_thread(self._own_group(sandbox_id).remove)
        self._handles.pop(sandbox_id, None)

    async def close(self) -> None:
        """Leave the engine; containers go on."""
        for task in list(self._resyncs):
            task.cancel()
        if self._watch is not None:
            await self._watch.close()
        self._engine.close()
        if self._groups.folders:
            await asyncio.to_thread(cgroup.remove_installation, self._groups, self._installation)

    async def _group_of(self, sandbox_id: str) -> cgroup.Group | None:
        """The control group its processes are in, where we can write to it."""
        if self._facts.ignores_groups:
            return self._own_group(sandbox_id) if self._groups.can_freeze else None
        container = await self._engine.look(sandbox_id)
        return group_of_container(container.pid, container.container_id)

    def _own_group(self, sandbox_id: str) -> cgroup.Group:
        return cgroup.group_of(self._groups, self._installation, sandbox_id)

    async def _frozen_group(self, sandbox_id: str) -> cgroup.Group | None:
        """What is frozen past the engine: it must be killed and thawed, or it would not die."""
        with contextlib.suppress(RuntimeUnavailableError):  # no such container, or no engine
            group = await self._group_of(sandbox_id)
            if group is not None and group.is_frozen:
                return group
        return None

    def _on_event(self, event: Event) -> None:
        handle = self._handles.get(event.sandbox_id)
        if handle is None:
            return
        if event.kind == "oom":
            handle.out_of_memory.set()
        else:
            handle.exit_code = event.exit_code if event.kind == "die" else handle.exit_code
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
