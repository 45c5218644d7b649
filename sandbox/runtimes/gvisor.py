"""What is different under gVisor: limits that its engine runtime leaves alone or lacks."""

import contextlib
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from sandbox.runtimes import cgroup
from sandbox.runtimes.docker_flavours import GVISOR, arguments_of, ignores_groups
from sandbox.types import Resources

# its own kernel decides on these and has no such limit
ALWAYS_MISSING = ("inode limit on /tmp", "process limit of user code")
SETTLE_SECONDS = 2.0
THREADS_EACH = 3
OWN_THREADS = 64


def missing_under(info: dict[str, Any], groups: cgroup.Hierarchies) -> tuple[str, ...]:
    """Limits this engine's gVisor does not give and no group of ours makes up for."""
    missing = list(ALWAYS_MISSING)
    if ignores_groups(arguments_of(info, GVISOR.engine_name) or ()):
        missing += groups.missing
    return tuple(missing)


def enter_group(group: cgroup.Group, resources: Resources, pid: int) -> None:
    """Put gVisor's own processes into a group of ours, with all they start; raises OSError."""
    group.create(room_for(resources))
    deadline = time.monotonic() + SETTLE_SECONDS
    # what a process started just before it was moved is met by the next turn
    while todo := descendants(pid) - group.pids():
        for one in todo:
            with contextlib.suppress(ProcessLookupError):
                group.add(one)
        if time.monotonic() > deadline:
            raise TimeoutError("gVisor's processes do not settle in their control group")


def room_for(resources: Resources) -> Resources:
    """What a group needs so that user code has its share: gVisor's kernel is in it as well.

    Each thread of user code is up to three on the host, and some are gVisor's own. Its memory
    comes out of the same limit, as the interpreter's does.
    """
    return replace(resources, pids=resources.pids * THREADS_EACH + OWN_THREADS)


def descendants(pid: int) -> set[int]:
    """A process and all below it, as far as they live."""
    found: set[int] = set()
    todo = [pid]
    while todo:
        one = todo.pop()
        if one <= 0 or one in found or not Path(f"/proc/{one}").exists():
            continue
        found.add(one)
        for task in Path(f"/proc/{one}/task").glob("*/children"):
            with contextlib.suppress(OSError):  # ended in between
                todo += [int(word) for word in task.read_text().split()]
    return found
