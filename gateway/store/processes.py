"""Facts about processes: what one is, and how a child is made to die with its parent."""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

IS_LINUX = sys.platform == "linux"
_PR_SET_PDEATHSIG = 1


def process_state(pid: int) -> str:
    """`postgres`, `zombie`, `other` or `gone`."""
    if IS_LINUX:
        try:
            text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            return "gone"
        name, _, rest = text.partition("(")[2].rpartition(")")
        state = rest.split()[0]
    else:
        shown = subprocess.run(
            ["ps", "-o", "stat=,comm=", "-p", str(pid)],
            capture_output=True,
            text=True,
            check=False,
            timeout=10,
        ).stdout.split(maxsplit=1)
        if len(shown) < 2:
            return "gone"
        state, name = shown[0], shown[1]
    if state.startswith("Z"):
        return "zombie"
    return "postgres" if "postgres" in name else "other"


def die_with_parent(parent: int) -> Callable[[], None] | None:
    """What a child does between fork and exec, after it has changed its user.

    The kernel ties the child's life to the thread that forks, so fork in the main thread.
    """
    if not IS_LINUX:
        return None
    libc = ctypes.CDLL(None, use_errno=True)

    def arrange() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGINT, 0, 0, 0)
        if os.getppid() != parent:  # the parent died before the kernel was told
            os._exit(1)

    return arrange
