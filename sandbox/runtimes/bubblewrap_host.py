"""What bubblewrap finds on this host: the program, whether it may work, control groups."""

import os
import shutil
import subprocess
from pathlib import Path

from sandbox.runtimes import bubblewrap_args as args
from sandbox.runtimes import cgroup
from sandbox.runtimes.base import RuntimeUnavailableError

PROGRAM = "bwrap"
TRIAL_SECONDS = 10.0


def find_program() -> str:
    """Path of bubblewrap; RuntimeUnavailableError says how to get it."""
    program = shutil.which(PROGRAM)
    if program is None:
        raise RuntimeUnavailableError("bubblewrap is missing: apt-get install bubblewrap")
    return program


def knows_disable_userns(program: str) -> bool:
    """Whether it can forbid further user namespaces (0.8 and later)."""
    answer = subprocess.run(
        [program, "--help"], capture_output=True, text=True, check=False, timeout=TRIAL_SECONDS
    )
    return "--disable-userns" in answer.stdout + answer.stderr


def hidden() -> frozenset[str]:
    """What of the hidden parts of /proc this kernel has."""
    names = (*args.HIDDEN_FILES, *args.HIDDEN_FOLDERS)
    return frozenset(name for name in names if Path(name).exists())


def try_out(program: str) -> None:
    """One empty run: some systems have the program but forbid what it does."""
    user = () if os.geteuid() == 0 else ("--unshare-user",)
    command = [
        *(program, *user, "--unshare-pid", "--unshare-net", "--die-with-parent", "--clearenv"),
        *("--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev"),
        *(program, "--version"),
    ]
    answer = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=TRIAL_SECONDS
    )
    if answer.returncode != 0:
        raise RuntimeUnavailableError(f"bubblewrap cannot run here: {answer.stderr.strip()}")


def missing_here(groups: cgroup.Hierarchies, *, has_filter: bool) -> tuple[str, ...]:
    """Limits and walls this host, or who runs this, cannot give."""
    missing = list(groups.missing)
    if not groups.can_freeze:
        missing.append("freezing")
    if not has_filter:
        missing.append("system call filter")
    if os.geteuid() != 0:
        # bubblewrap has no options for the last two; only root can do it in its place
        missing += ["own user for each sandbox", "noexec on /tmp", "inode limit on /tmp"]
    return tuple(missing)
