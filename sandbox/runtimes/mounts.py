"""Remounts folders inside a sandbox that waits to run, with options bubblewrap does not know.

A mount can only be changed from within its own mount namespace. One short-lived thread of this
process enters it, makes the calls and ends; nothing of the sandbox has run by then.
"""

import asyncio
import ctypes
import os
import threading
from collections.abc import Mapping
from pathlib import Path

CLONE_FS = 0x200
CLONE_NEWNS = 0x20000
MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT = 2, 4, 8, 32
FLAGS = MS_REMOUNT | MS_NOSUID | MS_NODEV | MS_NOEXEC
SECONDS = 10.0
EARLY_SECONDS = 1.0  # it takes microseconds, on a machine that has time for it
PAUSE = 0.001
_LIBC = ctypes.CDLL(None, use_errno=True)


async def remount(pid: int, options: Mapping[str, str], *, last: str) -> None:
    """Give tmpfs folders of the process's mount namespace these options, and noexec.

    Waits until `last`, a mount point that the host has not, shows that all are made. Raises
    OSError, TimeoutError among them.
    """
    deadline = asyncio.get_running_loop().time() + SECONDS
    while last not in _mount_points(pid):
        if asyncio.get_running_loop().time() > deadline:
            raise TimeoutError(f"bubblewrap made no {last}")
        await asyncio.sleep(PAUSE)
    deadline = asyncio.get_running_loop().time() + EARLY_SECONDS
    while (failure := await _attempt(pid, options)) is not None:
        # bubblewrap is between putting its root in place and taking the old one away: who
        # enters just now still sees the old one, in which none of the folders is
        is_early = isinstance(failure, FileNotFoundError)
        if not is_early or asyncio.get_running_loop().time() > deadline:
            raise failure
        await asyncio.sleep(PAUSE)


async def _attempt(pid: int, options: Mapping[str, str]) -> OSError | None:
    failed: list[OSError] = []
    thread = threading.Thread(target=_in_namespace, args=(pid, dict(options), failed), daemon=True)
    thread.start()
    await asyncio.to_thread(thread.join, SECONDS)
    if thread.is_alive():
        return TimeoutError("the kernel does not answer")
    return failed[0] if failed else None


def _mount_points(pid: int) -> set[str]:
    """As the process sees them; OSError when it is gone.

    None at all are seen for a moment while it takes its old root away, and of a zombie for ever.
    """
    lines = Path(f"/proc/{pid}/mountinfo").read_text("utf-8", "replace").splitlines()
    if not lines and _is_zombie(pid):
        raise ProcessLookupError(f"process {pid} has ended")
    return {line.split(" ", 5)[4] for line in lines}


def _is_zombie(pid: int) -> bool:
    text = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
    return text.rpartition(")")[2].split()[0] in ("Z", "X")


def _in_namespace(pid: int, options: dict[str, str], failed: list[OSError]) -> None:
    """The whole life of the thread: from `setns` on it opens no file and imports nothing."""
    try:
        namespace = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        try:
            _checked(_LIBC.unshare(CLONE_FS))  # its own root and folder, apart from our threads'
            _checked(_LIBC.setns(namespace, CLONE_NEWNS))
        finally:
            os.close(namespace)
        for folder, text in options.items():
            _checked(_LIBC.mount(b"tmpfs", folder.encode(), None, FLAGS, text.encode()))
    except OSError as error:
        failed.append(error)


def _checked(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
