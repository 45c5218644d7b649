"""Control groups for sandboxes that no engine looks after: limits, killing, finding, removing.

Knows both versions. Whatever controller this process may not use is named by `missing`,
so that an operator can read which limit a sandbox lacks.
"""

import contextlib
import errno
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from sandbox.runtimes.base import Throttling
from sandbox.types import Resources

CPU_PERIOD = 100_000  # microseconds
LIMITS = {"memory": "memory limit", "pids": "process limit", "cpu": "cpu limit"}
FREEZER = "freezer"  # a controller of its own in version 1, part of every group in version 2
FREEZE_SECONDS = 2.0
REMOVE_SECONDS = 5.0
MAKE_SECONDS = 2.0
PAUSE = 0.01
CONFINE_LOOKS = 4
TOP = "sandgate"


@dataclass(frozen=True, slots=True)
class Hierarchies:
    """Where groups may be made: one folder for each controller, the same one in version 2.

    In version 1 the freezer is one of them.
    """

    version: int
    folders: dict[str, Path]

    @property
    def missing(self) -> tuple[str, ...]:
        """Names of the limits that cannot be set here."""
        return tuple(text for name, text in LIMITS.items() if name not in self.folders)

    @property
    def can_freeze(self) -> bool:
        """Whether groups can be stopped and let go on."""
        return bool(self.folders) if self.version == 2 else FREEZER in self.folders

    @property
    def places(self) -> tuple[Path, ...]:
        """Each folder once."""
        return tuple(dict.fromkeys(self.folders.values()))


def settings_of(version: int, resources: Resources) -> dict[str, dict[str, str]]:
    """For each controller the files to write, in this order."""
    memory = str(resources.memory_mb * 1024 * 1024)
    quota = int(resources.cpus * CPU_PERIOD)
    if version == 1:
        return {
            "memory": {
                "memory.limit_in_bytes": memory,
                "memory.memsw.limit_in_bytes": memory,
                "memory.swappiness": "0",
            },
            "pids": {"pids.max": str(resources.pids)},
            "cpu": {"cpu.cfs_period_us": str(CPU_PERIOD), "cpu.cfs_quota_us": str(quota)},
        }
    return {
        "memory": {
            "memory.max": memory,
            "memory.swap.max": "0",
            "memory.oom.group": "0",
        },
        "pids": {"pids.max": str(resources.pids)},
        "cpu": {"cpu.max": f"{quota} {CPU_PERIOD}"},
    }


# Absent where the kernel accounts no swap; then there is none that could be used.
OPTIONAL = frozenset(
    {"memory.memsw.limit_in_bytes", "memory.swappiness", "memory.swap.max", "memory.oom.group"}
)


class Group:
    """The group of one sandbox, in every hierarchy at once."""

    def __init__(self, hierarchies: Hierarchies, path: str) -> None:
        self._hierarchies = hierarchies
        self._path = path

    @property
    def folders(self) -> tuple[Path, ...]:
        """Where it lies, whether or not it exists."""
        return tuple(place / self._path for place in self._hierarchies.places)

    def create(self, resources: Resources) -> None:
        """Make it and set its limits; raises OSError and leaves nothing when one is refused."""
        try:
            for folder in self.folders:
                self._make(folder)
            self._write(settings_of(self._hierarchies.version, resources))
        except BaseException:
            self.remove()
            raise

    def _make(self, folder: Path) -> None:
        """The folder and those above it, which another installation may be giving back just now."""
        deadline = time.monotonic() + MAKE_SECONDS
        while True:
            try:
                folder.parent.mkdir(parents=True, exist_ok=True)
                if self._hierarchies.version == 2:
                    enable(folder.parent)
                return folder.mkdir(exist_ok=True)
            except FileNotFoundError:
                if time.monotonic() > deadline:
                    raise

    def resize(self, resources: Resources) -> None:
        """Give it other limits; raises OSError when one is refused."""
        settings = settings_of(self._hierarchies.version, resources)
        if self._hierarchies.version == 1 and self._grows(resources):
            # memory alone may never be more than memory and swap together
            settings["memory"] = dict(reversed(settings["memory"].items()))
        self._write(settings)

    def _grows(self, resources: Resources) -> bool:
        place = self._hierarchies.folders.get("memory")
        if place is None:
            return False
        now = int((place / self._path / "memory.limit_in_bytes").read_text())
        return resources.memory_mb * 1024 * 1024 > now

    def _write(self, settings: dict[str, dict[str, str]]) -> None:
        for controller, place in self._hierarchies.folders.items():
            for name, value in settings.get(controller, {}).items():
                _set(place / self._path / name, value)

    def freeze(self) -> None:
        """Stop every process in it; blocks until they have. Raises OSError or TimeoutError."""
        deadline = time.monotonic() + FREEZE_SECONDS
        self._set_frozen(True)
        while not self._is_frozen():
            if time.monotonic() > deadline:
                self._set_frozen(False)
                raise TimeoutError(f"control group {self._path} does not freeze")
            time.sleep(PAUSE / 10)

    def thaw(self) -> None:
        """Let them go on; raises OSError."""
        self._set_frozen(False)

    def _freezer(self) -> Path:
        """The folder whose files freeze; FileNotFoundError where there is none."""
        name = FREEZER if self._hierarchies.version == 1 else "memory"
        place = self._hierarchies.folders.get(name) or next(iter(self._hierarchies.places), None)
        if place is None or not self._hierarchies.can_freeze:
            raise FileNotFoundError("no control group that can be frozen")
        return place / self._path

    def _set_frozen(self, frozen: bool) -> None:
        if self._hierarchies.version == 1:
            (self._freezer() / "freezer.state").write_text("FROZEN" if frozen else "THAWED")
        else:
            (self._freezer() / "cgroup.freeze").write_text("1" if frozen else "0")

    @property
    def is_frozen(self) -> bool:
        """Whether it stands still now; a group that does not exist does not."""
        try:
            return self._is_frozen()
        except OSError:
            return False

    def _is_frozen(self) -> bool:
        if self._hierarchies.version == 1:
            return (self._freezer() / "freezer.state").read_text().strip() == "FROZEN"
        return "frozen 1" in (self._freezer() / "cgroup.events").read_text().splitlines()

    def memory_bytes(self) -> int | None:
        """What it uses now without files the kernel could drop; None where nobody counts."""
        place = self._hierarchies.folders.get("memory")
        if place is None:
            return None
        old = self._hierarchies.version == 1
        name = "memory.usage_in_bytes" if old else "memory.current"
        prefix = "total_" if old else ""
        try:
            used = int((place / self._path / name).read_text())
            lines = (place / self._path / "memory.stat").read_text().splitlines()
        except (OSError, ValueError):
            return None
        counts = dict(line.split(" ", 1) for line in lines)
        files = sum(int(counts.get(f"{prefix}{kind}_file", 0)) for kind in ("active", "inactive"))
        return max(0, used - files)

    def throttling(self) -> Throttling | None:
        """How it fares with its share of the processors; None where nobody counts."""
        place = self._hierarchies.folders.get("cpu")
        if place is None:
            return None
        try:
            lines = (place / self._path / "cpu.stat").read_text().splitlines()
            counts = dict(line.split() for line in lines)
            return Throttling(int(counts["nr_periods"]), int(counts["nr_throttled"]))
        except (OSError, ValueError, KeyError):
            return None

    def confine(self, cores: frozenset[int]) -> None:
        """Keep all its threads to these processors, and with them all they start.

        OSError when that is refused. Who is started while we look is met by another look.
        """
        done: set[int] = set()
        for _ in range(CONFINE_LOOKS):
            fresh = self._threads() - done
            for thread in fresh:
                with contextlib.suppress(ProcessLookupError):
                    os.sched_setaffinity(thread, cores)
            done |= fresh
            if not fresh:
                return

    def _threads(self) -> set[int]:
        name = "tasks" if self._hierarchies.version == 1 else "cgroup.threads"
        return {int(line) for line in (self.folders[0] / name).read_text().split()}

    def add(self, pid: int) -> None:
        """Move a process, and with it all it will start, into the group."""
        for folder in self.folders:
            (folder / "cgroup.procs").write_text(str(pid))

    def pids(self) -> set[int]:
        """Processes in it now."""
        found: set[int] = set()
        for folder in self.folders:
            with contextlib.suppress(OSError):  # removed in between
                found.update(int(line) for line in (folder / "cgroup.procs").read_text().split())
        return found

    def oom_kills(self) -> int:
        """How many processes the kernel has killed in it for memory."""
        place = self._hierarchies.folders.get("memory")
        if place is None:
            return 0
        name = "memory.oom_control" if self._hierarchies.version == 1 else "memory.events"
        try:
            lines = (place / self._path / name).read_text().splitlines()
        except OSError:
            return 0
        return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)

    def kill(self) -> None:
        """End every process in it; those it starts meanwhile are met by the next call."""
        for folder in self.folders:
            with contextlib.suppress(OSError):  # older kernels have no such file
                (folder / "cgroup.kill").write_text("1")
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        # in this order they run no instruction of their own; in version 1 they die only thawed
        with contextlib.suppress(OSError):
            self.thaw()

    def remove(self, seconds: float = REMOVE_SECONDS) -> None:
        """Kill what is in it and remove it. Blocks until done; raises TimeoutError."""
        deadline = time.monotonic() + seconds
        while not self._removed():
            if time.monotonic() > deadline:
                raise TimeoutError(f"control group {self._path} does not become empty")
            self.kill()
            time.sleep(PAUSE)

    def _removed(self) -> bool:
        for folder in self.folders:
            try:
                folder.rmdir()
            except FileNotFoundError:
                continue
            except OSError as error:
                if error.errno in (errno.EBUSY, errno.ENOTEMPTY):
                    return False
                raise
        return True


def _set(file: Path, value: str) -> None:
    if file.name in OPTIONAL and not file.exists():
        return
    file.write_text(value)


def groups_of(hierarchies: Hierarchies, installation: str) -> list[str]:
    """Ids of all sandboxes of an installation that have a group."""
    found: set[str] = set()
    for place in hierarchies.places:
        with contextlib.suppress(FileNotFoundError):
            found.update(p.name for p in (place / TOP / installation).iterdir() if p.is_dir())
    return sorted(found)


def group_of(hierarchies: Hierarchies, installation: str, sandbox_id: str) -> Group:
    """The group of one sandbox."""
    return Group(hierarchies, f"{TOP}/{installation}/{sandbox_id}")


def remove_installation(hierarchies: Hierarchies, installation: str) -> None:
    """Give back the installation's own folders when no sandbox is left in them."""
    for place in hierarchies.places:
        for folder in (place / TOP / installation, place / TOP):
            with contextlib.suppress(OSError):  # somebody else's sandboxes are still in it
                folder.rmdir()


def enable(folder: Path) -> set[str]:
    """Hand the controllers on to the groups below; the ones that are handed on."""
    control = folder / "cgroup.subtree_control"
    for name in LIMITS:
        with contextlib.suppress(OSError):  # not delegated to us, or the folder has processes
            control.write_text(f"+{name}")
    try:
        return set(control.read_text().split()) & LIMITS.keys()
    except OSError:
        return set()
