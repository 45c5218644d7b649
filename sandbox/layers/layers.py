"""Dependencies on request: a lock of what was asked for, and the layer of a lock.

Resolving and installing happen in two sandboxes, each thrown away: the one that installs has
met nothing but the packages of its own lock, so a package can only ever spoil locks it is in.
"""

import asyncio
import http.client
import time
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import structlog
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from sandbox.layers import locks
from sandbox.layers.admission import NotAdmittedError
from sandbox.layers.builder import BUILDER_RESOURCES, Builder
from sandbox.layers.certificates import host_certificates
from sandbox.layers.reasons import explain, printable
from sandbox.layers.remote import Remote, RemoteError, Value, converse, read_json, read_some
from sandbox.layers.requirement import RequirementError, canonical, parse
from sandbox.layers.script import MAX_REQUIREMENTS
from sandbox.layers.settings import LayerSettings
from sandbox.layers.store import MAX_BYTES, LayerStore
from sandbox.layers.stream import RefusedError, StreamError, incoming
from sandbox.layers.tools import ToolMissingError, make_tools
from sandbox.types import DependencyError, Lock, ManagerUnavailableError, StartFailedError

RESOLVE_SECONDS = 50.0
INSTALL_SECONDS = 125.0
BUILDERS = 2  # at a time; each may take as much memory as its packages
_CODE = Path(__file__).with_name("builder_app.py")
_log = structlog.get_logger(__name__)


class Layers:
    """Locks and layers of one installation.

    `in_use` tells the names (`Path.name`) of the layers that sandboxes have.
    """

    def __init__(
        self,
        data_dir: Path,
        settings: LayerSettings,
        builder: Builder,
        *,
        in_use: Callable[[], set[str]] = set,
        certificates: Callable[[], str] = host_certificates,
        clock: Callable[[], float] = time.time,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self._settings = settings
        self._builder = builder
        self._in_use = in_use
        self._certificates = certificates
        self._clock = clock
        self._max_bytes = max_bytes
        self._store = LayerStore(data_dir, clock=clock)
        self._slots = asyncio.Semaphore(BUILDERS)
        self._making_tools = asyncio.Lock()
        self._tools: Path | None = None
        self._builds: dict[str, asyncio.Task[Path]] = {}

    async def lock(self, requirements: Sequence[str]) -> Lock:
        """Resolve, and build the layer so that a start finds it. An empty lock adds nothing.

        Raises DependencyError, CapacityError or ManagerUnavailableError.
        """
        wanted = self._wanted(requirements)
        if not wanted:
            return locks.NOTHING
        lock = await self._guarded(self._resolve(wanted), RESOLVE_SECONDS)
        locks.check_policy(locks.names_of(lock), self._settings)
        if lock.text:
            await self.ensure(lock)
        return lock

    async def ensure(self, lock: Lock) -> Path:
        """The layer of a lock, built when it is not there; only its text counts.

        Made once for all who ask. Raises what `lock` raises.
        """
        try:
            known = locks.stored(lock.text, self._settings)
        except locks.LockTextError as error:
            raise DependencyError(f"the stored lock cannot be used: {error}") from error
        locks.check_policy(locks.names_of(known), self._settings)
        found = self._store.find(known.digest)
        if found is not None:
            return found
        build = self._builds.get(known.digest) or self._begin(known)
        try:
            return await asyncio.shield(build)
        except asyncio.CancelledError:
            if build.cancelled():
                raise ManagerUnavailableError("the manager is shutting down") from None
            raise

    async def sweep(self) -> int:
        """Remove what an earlier manager's broken-off builds left; the number removed."""
        return await asyncio.to_thread(self._store.sweep)

    async def close(self) -> None:
        """End the builds that run."""
        builds = list(self._builds.values())
        for build in builds:
            build.cancel()
        await asyncio.gather(*builds, return_exceptions=True)

    # --- what is asked for

    def _wanted(self, requirements: Sequence[str]) -> list[str]:
        """Requirements that the root does not meet, in canonical form."""
        if len(requirements) > MAX_REQUIREMENTS:
            raise DependencyError(f"at most {MAX_REQUIREMENTS} dependencies can be asked for")
        wanted = set()
        for text in requirements:
            try:
                requirement = parse(text)
            except RequirementError as error:
                raise DependencyError(str(error)) from error
            if requirement is not None and not self._is_there(requirement):
                wanted.add(canonical(requirement))
        return sorted(wanted)

    def _is_there(self, requirement: Requirement) -> bool:
        """Whether the root has it already, in a version that fits."""
        name = canonicalize_name(requirement.name)
        locks.check_policy([name], self._settings)
        version = self._settings.root.versions.get(name)
        if version is None:
            return False
        if not requirement.specifier.contains(version, prereleases=True):
            asked = canonical(requirement)
            raise DependencyError(f"{name} {version} is fixed by Sandgate; you asked for {asked}")
        return not requirement.extras

    # --- resolving

    async def _resolve(self, wanted: list[str]) -> Lock:
        _log.info("resolving_dependencies", requirements=wanted)
        answer = await self._in_builder(partial(self._ask, wanted))
        code, output, errors = (answer.get(name) for name in ("code", "output", "errors"))
        if not isinstance(output, str) or not isinstance(errors, str):
            raise RemoteError("the builder's answer is not one")
        if code != 0:
            raise explain(errors, self._settings)
        try:
            return locks.resolved(output, self._settings)
        except locks.LockTextError as error:
            raise DependencyError(f"they cannot be locked: {error}") from error

    def _ask(self, wanted: list[str], remote: Remote) -> dict[str, Any]:
        root = [f"{name}=={version}" for name, version in self._settings.root.versions.items()]
        body = {"requirements": wanted, "root": root, "newest": self._newest(), **self._index()}
        response = remote.post("/resolve", body)
        if response.status != http.client.OK:
            raise RemoteError(f"the builder answered {response.status}")
        return read_json(response)

    def _newest(self) -> str:
        """No version may be younger than this; whole hours, so that equal requests agree."""
        if not self._settings.cooldown_days:
            return ""
        now = datetime.fromtimestamp(self._clock(), UTC)
        newest = now - timedelta(days=self._settings.cooldown_days)
        return newest.strftime("%Y-%m-%dT%H:00:00Z")

    def _index(self) -> dict[str, object]:
        return {"index": self._settings.index_url, "ca": self._certificates()}

    # --- building

    def _begin(self, lock: Lock) -> "asyncio.Task[Path]":
        build = asyncio.create_task(self._guarded(self._build(lock), INSTALL_SECONDS))
        self._builds[lock.digest] = build

        def done(ended: "asyncio.Task[Path]") -> None:
            self._builds.pop(lock.digest, None)
            if not ended.cancelled():
                ended.exception()  # looked at here, in case everybody who asked has left

        build.add_done_callback(done)
        return build

    async def _build(self, lock: Lock) -> Path:
        begin = time.monotonic()
        async with self._store.turn(lock.digest):
            found = self._store.find(lock.digest)
            if found is not None:
                return found
            path = await self._in_builder(partial(self._install, lock))
        seconds = round(time.monotonic() - begin, 2)
        _log.info("layer_built", layer=lock.digest, packages=len(lock.packages), seconds=seconds)
        await asyncio.to_thread(self._store.evict, self._in_use(), self._max_bytes)
        return path

    def _install(self, lock: Lock, remote: Remote) -> Path:
        response = remote.post("/install", {"lock": lock.text, **self._index()})
        if response.status == http.client.UNPROCESSABLE_ENTITY:
            raise explain(str(read_json(response).get("errors")), self._settings)
        if response.status != http.client.OK:
            raise RemoteError(f"the builder answered {response.status}")
        files = incoming(partial(read_some, response))
        return self._store.write(lock.digest, files, self._settings.root)

    # --- the builder

    async def _in_builder(self, talk: Callable[[Remote], Value]) -> Value:
        async with self._slots:
            tools = await self._tools_layer()
            code = await asyncio.to_thread(_CODE.read_text, "utf-8")
            hosts = self._settings.hosts
            async with self._builder.throwaway(
                code, hosts, hosts, {}, BUILDER_RESOURCES, tools
            ) as socket_path:
                return await converse(socket_path, talk)

    async def _tools_layer(self) -> Path:
        async with self._making_tools:
            if self._tools is None:
                self._tools = await asyncio.to_thread(make_tools, self._store.folder / "tools")
            return self._tools

    async def _guarded(self, work: Coroutine[Any, Any, Value], seconds: float) -> Value:
        """One step with its deadline; every way it can fail, as the manager's errors."""
        try:
            async with asyncio.timeout(seconds):
                return await work
        except TimeoutError:
            raise ManagerUnavailableError(
                f"the packages were not there after {seconds:g} seconds"
            ) from None
        except (NotAdmittedError, RefusedError) as error:
            raise DependencyError(f"a package cannot be used: {printable(str(error))}") from error
        except ToolMissingError as error:
            raise DependencyError(f"dependencies cannot be installed here: {error}") from error
        except StartFailedError as error:
            raise ManagerUnavailableError(f"the builder did not start: {error.reason}") from error
        except (RemoteError, StreamError, OSError) as error:
            _log.warning("layer_not_built", error=str(error)[:500])
            raise ManagerUnavailableError(f"the layer was not built: {error}") from error
