"""Where control groups can be made on this host, and in which one a process is."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from sandbox.runtimes import cgroup

MOUNTS = Path("/proc/self/mounts")
OWN = Path("/proc/self/cgroup")


def find_groups() -> cgroup.Hierarchies:
    """Where this process can make control groups."""
    return discover(MOUNTS.read_text("utf-8"), OWN.read_text("utf-8"))


def discover(mounts: str, own: str) -> cgroup.Hierarchies:
    """Usable hierarchies, from the texts of /proc/self/mounts and /proc/self/cgroup.

    Tried from the top of each mount down to this process's own group: an installation
    must find its groups again whatever it is started from.
    """
    groups = {line.split(":", 2)[1]: line.split(":", 2)[2] for line in own.splitlines()}
    first: dict[str, Path] = {}
    for mount, kind, options in _mounts(mounts):
        if kind == "cgroup2":
            folders = _unified(mount, groups.get("", "/"))
            if folders:
                return cgroup.Hierarchies(2, folders)
        for name in options & {*cgroup.LIMITS, cgroup.FREEZER}:
            group = next((g for n, g in groups.items() if name in n.split(",")), "/")
            place = next((p for p in _candidates(mount, group) if _usable(p)), None)
            if place:
                first[name] = place
    return cgroup.Hierarchies(1, first)


def _mounts(mounts: str) -> Iterator[tuple[Path, str, set[str]]]:
    for line in mounts.splitlines():
        _, mount, kind, options, *_ = line.split()
        if kind in ("cgroup", "cgroup2"):
            yield Path(mount), kind, set(options.split(","))


def _candidates(mount: Path, group: str) -> Iterable[Path]:
    own = mount / group.lstrip("/")
    chain = [own, *own.parents]
    return reversed([path for path in chain if path == mount or mount in path.parents])


def _usable(place: Path) -> bool:
    """Whether groups can be made below: tried, because permissions alone don't tell."""
    probe = place / f"{cgroup.TOP}-probe-{os.getpid()}"
    try:
        probe.mkdir()
        probe.rmdir()
    except OSError:
        return False
    return True


def _unified(mount: Path, group: str) -> dict[str, Path]:
    for place in _candidates(mount, group):
        if not _usable(place):
            continue
        enabled = cgroup.enable(place)
        if enabled:
            return dict.fromkeys(sorted(enabled), place)
    return {}


def group_of_container(pid: int, container_id: str) -> cgroup.Group | None:
    """The group an engine made for the container whose first process on this host is `pid`.

    None unless the process is that container's without doubt and its files are ours to write:
    an engine may be remote, and pids are used again.
    """
    try:
        own = Path(f"/proc/{pid}/cgroup").read_text("utf-8")
    except OSError:
        return None
    return named_group(MOUNTS.read_text("utf-8"), own, container_id)


def named_group(mounts: str, own: str, container_id: str) -> cgroup.Group | None:
    """The group with this id in its name, from the texts of a mount list and a cgroup file."""
    paths = {line.split(":", 2)[1]: line.split(":", 2)[2] for line in own.splitlines()}
    old: dict[str, Path] = {}
    unified: Path | None = None
    for mount, kind, options in _mounts(mounts):
        unified = mount if kind == "cgroup2" else unified
        old |= dict.fromkeys(options & {"memory", cgroup.FREEZER, "cpu"}, mount)
    if len(old) == 3:
        found, switch = cgroup.Hierarchies(1, old), old[cgroup.FREEZER]
        path, file = _shared_path(paths, old), "freezer.state"
    elif unified is not None:
        found, switch = cgroup.Hierarchies(2, dict.fromkeys(("memory", "cpu"), unified)), unified
        path, file = paths.get("", ""), "cgroup.freeze"
    else:
        return None
    path = path.lstrip("/")
    if container_id not in path or ".." in path or not os.access(switch / path / file, os.W_OK):
        return None
    return cgroup.Group(found, path)


def _shared_path(paths: dict[str, str], controllers: Iterable[str]) -> str:
    """The one path of all these controllers; empty when they differ."""
    found = {
        next((path for names, path in paths.items() if one in names.split(",")), "")
        for one in controllers
    }
    return found.pop() if len(found) == 1 else ""
