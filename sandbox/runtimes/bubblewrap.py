"""Sandboxes without an engine: bubblewrap, a system call filter, limits and a control group."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import structlog

from sandbox.runtimes import bubblewrap_args as args
from sandbox.runtimes import bubblewrap_host as host
from sandbox.runtimes import cgroup, mounts, seccomp
from sandbox.runtimes.base import (
    Found,
    Handle,
    Launch,
    RuntimeUnavailableError,
    Throttling,
)
from sandbox.runtimes.bubblewrap_process import BubblewrapProcess, Start, start
from sandbox.runtimes.cgroup_find import find_groups
from sandbox.runtimes.identity import NOBODY, uid_of
from sandbox.runtimes.root import CONTROL, RunnerRoot, build_root
from sandbox.types import EndReason, Resources, Tier

_log = structlog.get_logger()
END_SECONDS = 10.0
PAUSE = 0.01


class BubblewrapHandle:
    """One sandbox of this process."""

    def __init__(
        self, sandbox_id: str, process: BubblewrapProcess, group: cgroup.Group | None
    ) -> None:
        self._sandbox_id = sandbox_id
        self._process = process
        self._group = group
        self._end: EndReason | None = None
        self._removing = asyncio.Lock()
        self._removed = False

    @property
    def sandbox_id(self) -> str:
        """The id given at launch."""
        return self._sandbox_id

    @property
    def pid(self) -> int:
        """Host pid of the bubblewrap process."""
        return self._process.pid

    async def wait(self) -> None:
        """Return when the sandbox has ended, whoever ended it."""
        await self._process.wait()

    async def end_reason(self) -> EndReason | None:
        """MEMORY when the kernel killed something in it; known only with a control group."""
        if self._group is not None and not self._removed and self._group.oom_kills() > 0:
            self._end = EndReason.MEMORY
        return self._end

    async def freeze(self) -> None:
        """Stop all its processes where they are."""
        self._act(cgroup.Group.freeze)

    async def thaw(self) -> None:
        """Let its processes go on."""
        self._act(cgroup.Group.thaw)

    async def resize(self, resources: Resources) -> None:
        """Give its group other limits; without a group they stay as they were."""
        if self._group is not None:
            self._act(lambda group: group.resize(resources))

    async def memory_bytes(self) -> int | None:
        """What its group uses now."""
        return None if self._group is None or self._removed else self._group.memory_bytes()

    async def throttling(self) -> Throttling | None:
        """As its group counts."""
        return None if self._group is None or self._removed else self._group.throttling()

    async def confine(self, cores: frozenset[int]) -> None:
        """Keep its processes to these processors."""
        self._act(lambda group: group.confine(cores))

    def _act(self, action: Callable[[cgroup.Group], None]) -> None:
        if self._group is None or self._removed:
            raise RuntimeUnavailableError("bubblewrap: no control group, or the sandbox is gone")
        try:
            action(self._group)
        except OSError as error:
            raise RuntimeUnavailableError(f"bubblewrap: {error}") from error

    async def destroy(self) -> None:
        """Kill everything in it, then give back its group and descriptors."""
        async with self._removing:
            if self._removed:
                return
            await self.end_reason()
            self._process.kill()
            await asyncio.wait_for(self._process.wait(), END_SECONDS)
            if self._group is not None:
                await asyncio.to_thread(self._group.remove)
            if self._process.said:
                _log.warning("sandbox_error", sandbox_id=self._sandbox_id, text=self._process.said)
            self._process.close()
            self._removed = True


class BubblewrapRuntime:
    """Starts sandboxes through the `bwrap` program."""

    name = "bubblewrap"
    tier = Tier.BWRAP
    takes_descriptors = True

    def __init__(
        self, data_dir: Path, installation: str, *, root: RunnerRoot | None = None
    ) -> None:
        self._data_dir = data_dir
        self._installation = installation
        self._root = root
        self._program = ""
        self._filter: bytes | None = None
        self._can_disable_userns = False
        self._groups = cgroup.Hierarchies(1, {})

    @property
    def can_freeze(self) -> bool:
        """Only through a control group."""
        return self._groups.can_freeze

    async def prepare(self) -> None:
        """Find the program, build the runner root, compile the filter, look for groups."""
        self._program = host.find_program()
        self._can_disable_userns = await asyncio.to_thread(host.knows_disable_userns, self._program)
        self._groups = await asyncio.to_thread(find_groups)
        with contextlib.suppress(seccomp.SeccompMissingError):  # `check` names it
            self._filter = seccomp.compile_filter(seccomp.load_profile())
        if self._root is None:
            self._root = await asyncio.to_thread(build_root, self._data_dir)
        await asyncio.to_thread(host.try_out, self._program)

    async def check(self) -> tuple[str, ...]:
        """Limits and walls this host cannot give."""
        host.find_program()
        return host.missing_here(self._groups, has_filter=self._filter is not None)

    async def launch(self, launch: Launch) -> Handle:
        """Start a blank in its own group."""
        if self._root is None:
            raise RuntimeUnavailableError("bubblewrap is not prepared")
        group = self._group(launch.sandbox_id) if self._groups.folders else None
        try:
            if group is not None:
                group.create(launch.resources)
            process = await start(self._start(launch, self._root, group))
        except BaseException as error:
            # also what bubblewrap forked but did not come to tell us of
            await asyncio.shield(
                asyncio.to_thread(self._remove, self._installation, launch.sandbox_id)
            )
            if isinstance(error, OSError):
                raise RuntimeUnavailableError(f"cannot make a sandbox: {error}") from error
            raise
        return BubblewrapHandle(launch.sandbox_id, process, group)

    async def find(self, installation: str) -> list[Found]:
        """Sandboxes of the installation that have a process or a control group."""
        return await asyncio.to_thread(self._find, installation)

    async def adopt(self, found: Found) -> Handle | None:  # noqa: ARG002 - the protocol's
        """None: a bubblewrap sandbox dies with the manager that started it."""
        return None

    async def remove(self, found: Found) -> None:
        """Kill what is left of it and remove its group."""
        installation = found.labels["sandgate.installation"]
        await asyncio.to_thread(self._remove, installation, found.sandbox_id)

    async def close(self) -> None:
        """Give back the installation's folders among the control groups."""
        await asyncio.to_thread(cgroup.remove_installation, self._groups, self._installation)

    def _group(self, sandbox_id: str) -> cgroup.Group:
        return cgroup.group_of(self._groups, self._installation, sandbox_id)

    def _start(self, launch: Launch, root: RunnerRoot, group: cgroup.Group | None) -> Start:
        identity = self._identity(launch.sandbox_id)
        limits = args.process_limits(
            launch.resources,
            own_user=identity.by_root,
            memory_group="memory" in self._groups.folders,
        )
        options = partial(
            args.arguments,
            root=root.path,
            control_dir=launch.control_dir,
            layer=launch.layer,
            resources=launch.resources,
            identity=identity,
            hidden=host.hidden(),
        )
        return Start(
            program=self._program,
            name=args.process_name(self._installation, launch.sandbox_id),
            options=lambda descriptors: options(descriptors=descriptors),
            command=args.command(identity, is_awaited=launch.is_awaited),
            seccomp=self._filter,
            limits=limits,
            enter_group=(lambda _: None) if group is None else group.add,
            finish=partial(self._finish, resources=launch.resources, identity=identity),
        )

    async def _finish(self, pid: int, *, resources: Resources, identity: args.Identity) -> None:
        if identity.by_root:
            await mounts.remount(pid, args.tmp_options(resources), last=CONTROL)

    def _identity(self, sandbox_id: str) -> args.Identity:
        by_root = os.geteuid() == 0
        return args.Identity(
            uid=uid_of(sandbox_id) if by_root else NOBODY,
            by_root=by_root,
            can_disable_userns=self._can_disable_userns,
        )

    def _find(self, installation: str) -> list[Found]:
        living = _processes(installation)
        for sandbox_id in cgroup.groups_of(self._groups, installation):
            group = cgroup.group_of(self._groups, installation, sandbox_id)
            living.setdefault(sandbox_id, set()).update(group.pids())
        return [
            Found(
                sandbox_id,
                {"sandgate.installation": installation, "sandgate.sandbox": sandbox_id},
                alive=bool(pids),
            )
            for sandbox_id, pids in sorted(living.items())
        ]

    def _remove(self, installation: str, sandbox_id: str) -> None:
        deadline = time.monotonic() + END_SECONDS
        while pids := _processes(installation).get(sandbox_id):
            if time.monotonic() > deadline:
                raise TimeoutError(f"sandbox {sandbox_id} does not end")
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(PAUSE)
        cgroup.group_of(self._groups, installation, sandbox_id).remove()


def _processes(installation: str) -> dict[str, set[int]]:
    """Living bubblewrap processes of an installation, by sandbox."""
    found: dict[str, set[int]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            parsed = args.parse_process_name(_first_word(folder))
            if parsed and parsed[0] == installation:
                found.setdefault(parsed[1], set()).add(int(folder.name))
    return found


def _first_word(folder: Path) -> str:
    """argv[0] of a process; empty for one that is gone or a zombie."""
    try:
        return (folder / "cmdline").read_bytes().partition(b"\0")[0].decode(errors="replace")
    except OSError:
        return ""
