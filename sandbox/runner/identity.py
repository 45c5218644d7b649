"""What a process of the runner is to the kernel: its user, whether others may look into it."""

import contextlib
import ctypes
import os
import signal

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_LIBC = ctypes.CDLL(None, use_errno=True)


def drop_privileges(uid: int, gid: int) -> None:
    """Become `uid` and `gid` for good; raises OSError when that is refused."""
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)


def set_dumpable(allowed: bool) -> None:
    """Whether processes of the same user may trace this one and read its memory."""
    _LIBC.prctl(_PR_SET_DUMPABLE, int(allowed), 0, 0, 0)


def prefer_as_memory_victim() -> None:
    """When memory runs out the kernel ends user code first, so that its supervisor can report."""
    # not offered by every kernel; the report is then poorer
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("1000")


def die_with_parent() -> None:
    """End when the parent does, where it is not the first process and takes all along anyway."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
