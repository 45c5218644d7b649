"""Looks at this machine and says for each part sandboxes need: ok, or what to do."""

import asyncio
import contextlib
import os
import shutil
from pathlib import Path
from typing import Any

from sandbox.doctor_report import (
    Check,
    judge_any,
    judge_disk,
    judge_limits,
    judge_namespaces,
    judge_tiers,
    render,
)
from sandbox.runtimes import bubblewrap_host, cgroup, packages, seccomp
from sandbox.runtimes.base import RuntimeUnavailableError
from sandbox.runtimes.bubblewrap_host import missing_here
from sandbox.runtimes.cgroup_find import find_groups
from sandbox.runtimes.choose import NO_VM
from sandbox.runtimes.docker_errors import translated
from sandbox.runtimes.docker_events import make_client
from sandbox.runtimes.docker_facts import missing_of
from sandbox.runtimes.docker_flavours import GVISOR, require_usable
from sandbox.runtimes.gvisor import missing_under
from sandbox.runtimes.root_plan import RUNNER_SOURCE
from sandbox.types import Tier, TierStatus

__all__ = ["Check", "examine", "render"]

ENGINE_SECONDS = 5.0
MEGABYTE = 1024 * 1024


async def examine(data_dir: Path, runtime: str = "auto", floor: Tier | None = None) -> list[Check]:
    """Every check, one after the other, in the order they are best read."""
    return await asyncio.to_thread(_examine, data_dir, runtime, floor)


def _examine(data_dir: Path, runtime: str, floor: Tier | None) -> list[Check]:
    info, engine = _engine()
    docker, bubblewrap = judge_any(engine, _bubblewrap(), runtime)
    alone = not docker.ok or runtime == "bubblewrap"
    groups = find_groups()
    return [
        docker,
        *_engine_limits(info),
        bubblewrap,
        *judge_tiers(_tiers(info, docker, bubblewrap, groups), floor),
        # an engine sees to these itself
        *([judge_limits(groups.version, groups.missing, needed=False)] if alone else []),
        *([_filter()] if alone else []),
        *([judge_namespaces(_user_namespaces(), by_root=os.geteuid() == 0)] if alone else []),
        _kernel(),
        _packages(),
        _disk(data_dir),
    ]


def _engine() -> tuple[dict[str, Any] | None, Check]:
    try:
        with (
            translated("no engine answers"),
            contextlib.closing(make_client(None, ENGINE_SECONDS)) as client,
        ):
            info: dict[str, Any] = client.info()
    except RuntimeUnavailableError as error:
        return None, Check("docker", False, str(error), "apt-get install docker.io, start it")
    return info, Check("docker", True, f"engine {info.get('ServerVersion')}")


def _engine_limits(info: dict[str, Any] | None) -> list[Check]:
    if info is None:
        return []
    missing = missing_of(info)
    detail = ", ".join(missing) or "every limit works"
    return [Check("docker limits", not missing, detail, "see docker info's warnings", False)]


def _tiers(
    info: dict[str, Any] | None, docker: Check, bubblewrap: Check, groups: cgroup.Hierarchies
) -> list[TierStatus]:
    """Each tier as far as it can be known without starting anything in it."""
    runc = TierStatus(
        Tier.RUNC, "docker", docker.ok, docker.detail, missing_of(info) if info else ()
    )
    bwrap = TierStatus(
        Tier.BWRAP,
        "bubblewrap",
        bubblewrap.ok,
        bubblewrap.detail,
        missing_here(groups, has_filter=_filter().ok),
    )
    return [TierStatus(Tier.VM, "", False, NO_VM), _gvisor(info, docker, groups), runc, bwrap]


def _gvisor(info: dict[str, Any] | None, docker: Check, groups: cgroup.Hierarchies) -> TierStatus:
    if info is None:
        return TierStatus(Tier.GVISOR, GVISOR.name, False, f"needs docker: {docker.detail}")
    try:
        require_usable(GVISOR, info)
    except RuntimeUnavailableError as error:
        return TierStatus(Tier.GVISOR, GVISOR.name, False, str(error))
    return TierStatus(Tier.GVISOR, GVISOR.name, True, "", missing_under(info, groups))


def _bubblewrap() -> Check:
    try:
        program = bubblewrap_host.find_program()
        bubblewrap_host.try_out(program)
    except RuntimeUnavailableError as error:
        return Check("bubblewrap", False, str(error), "apt-get install bubblewrap")
    return Check("bubblewrap", True, program)


def _filter() -> Check:
    try:
        seccomp.compile_filter(seccomp.load_profile())
    except seccomp.SeccompMissingError as error:
        remedy = "apt-get install libseccomp2"
        return Check("system call filter", False, str(error), remedy)
    return Check("system call filter", True, "libseccomp works")


def _user_namespaces() -> int:
    try:
        return int(Path("/proc/sys/user/max_user_namespaces").read_text("utf-8"))
    except (OSError, ValueError):
        return 0


def _kernel() -> Check:
    release = os.uname().release
    status = Path("/proc/self/status").read_text("utf-8")
    if "\nSeccomp:" not in status:
        return Check("kernel", False, f"{release} has no seccomp", "use a kernel with seccomp")
    return Check("kernel", hasattr(os, "pidfd_open"), release, "use Linux 5.4 or later")


def _packages() -> Check:
    names = packages.names_in((RUNNER_SOURCE / "requirements.in").read_text("utf-8"))
    try:
        found = packages.closure(names)
    except packages.PackageMissingError as error:
        return Check("packages", False, str(error), "install the locked requirements")
    return Check("packages", True, f"{len(found)} for user code")


def _disk(data_dir: Path) -> Check:
    folder = data_dir.resolve()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free // MEGABYTE
    return judge_disk(free, os.access(folder, os.W_OK | os.X_OK), str(folder))
