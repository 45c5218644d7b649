"""Gives root up on the way into a child, and keeps what the child needs within its reach.

A checkout, an interpreter or a data directory may lie below a directory that only root can
enter. The child then gets a mount namespace of its own in which such a directory is empty but
for what the child needs: it reaches its own files and sees less of the machine than before.
"""

import ctypes
import os
import stat
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from gateway.users import DOOR, GATEWAY, ProcessUser, by_root

_LIBC = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWNS = 0x20000
_MS_NOSUID, _MS_NODEV, _MS_BIND, _MS_REC, _MS_PRIVATE = 2, 4, 4096, 16384, 1 << 18
_PR_SET_NO_NEW_PRIVS = 38
_TRIAL_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Reach:
    """What must be put in place for a user: paths to keep, by the closed directory above."""

    kept: dict[str, tuple[str, ...]]

    @property
    def is_open(self) -> bool:
        """Whether the user can walk to everything as it is."""
        return not self.kept


def reach_of(user: ProcessUser, needed: Iterable[Path]) -> Reach:
    """Which directories are closed to the user on the way to what it needs."""
    kept: dict[str, list[str]] = {}
    for path in sorted({each.resolve() for each in needed}):
        closed = next((each for each in reversed(path.parents) if _is_closed(each, user)), None)
        if closed is not None:
            paths = kept.setdefault(str(closed), [])
            if not any(path.is_relative_to(other) for other in paths):
                paths.append(str(path))
    return Reach({closed: tuple(paths) for closed, paths in kept.items()})


def _is_closed(folder: Path, user: ProcessUser) -> bool:
    found = folder.stat()
    if found.st_uid == user.uid:
        return not found.st_mode & stat.S_IXUSR
    if found.st_gid == user.uid:
        return not found.st_mode & stat.S_IXGRP
    return not found.st_mode & stat.S_IXOTH


def program_paths() -> tuple[Path, ...]:
    """Where the interpreter, its packages and our own sources lie."""
    ours = Path(__file__).resolve().parents[2]
    return (
        Path(sys.prefix),
        Path(sys.base_prefix),
        Path(sys.executable).resolve().parent.parent,
        Path(sysconfig.get_path("stdlib")),
        *(ours / name for name in ("gateway", "sandbox", "supabase")),
    )


def becoming(user: ProcessUser, reach: Reach) -> Callable[[], None]:
    """Runs between fork and exec: give root up for good. Raises OSError, then nothing starts."""

    def become() -> None:
        if not reach.is_open:
            _arrange(reach)
        os.setgroups([])
        os.setresgid(user.uid, user.uid, user.uid)
        os.setresuid(user.uid, user.uid, user.uid)
        _LIBC.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)

    return become


def _arrange(reach: Reach) -> None:
    """In a mount namespace of its own, leave of each closed directory only what is kept."""
    _check(_LIBC.unshare(_CLONE_NEWNS), "unshare")
    _mount(None, "/", None, _MS_REC | _MS_PRIVATE)
    for closed, paths in reach.kept.items():
        held = [os.open(path, os.O_PATH | os.O_CLOEXEC) for path in paths]
        _mount("tmpfs", closed, "tmpfs", _MS_NOSUID | _MS_NODEV, "mode=0755,size=1m")
        for path, descriptor in zip(paths, held, strict=True):
            os.makedirs(path, mode=0o755)
            _mount(f"/proc/self/fd/{descriptor}", path, None, _MS_BIND | _MS_REC)
            os.close(descriptor)


def _mount(
    source: str | None, target: str, kind: str | None, flags: int, data: str | None = None
) -> None:
    words = [None if word is None else os.fsencode(word) for word in (source, target, kind, data)]
    _check(_LIBC.mount(words[0], words[1], words[2], flags, words[3]), f"mount {target}")


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def why_not(user: ProcessUser, reach: Reach) -> str:
    """Empty when a Python with our sources starts as this user, else what stands in the way."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", "import gateway, sandbox, ssl"],
            preexec_fn=becoming(user, reach),
            env={"PATH": "/usr/bin:/bin", "HOME": "/"},
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TRIAL_SECONDS,
            check=False,
        )
    except (OSError, subprocess.SubprocessError) as error:
        return f"this machine does not let a process change its user or its mounts ({error})"
    if done.returncode != 0:
        last = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        return f"Python does not start as another user ({last})"
    return ""


@dataclass(frozen=True, slots=True)
class Identities:
    """What each child does on its way in. None: it stays what the supervisor is."""

    gateway: Callable[[], None] | None = None
    door: Callable[[], None] | None = None
    reason: str = ""  # why root could not be given up, when that was wanted

    @property
    def are_own(self) -> bool:
        """Whether the processes have users of their own."""
        return self.gateway is not None

    @property
    def manager_arguments(self) -> tuple[str, ...]:
        """Whom the manager lets in beside itself."""
        return ("--client-uid", str(GATEWAY.uid)) if self.are_own else ()

    @property
    def door_arguments(self) -> tuple[str, ...]:
        """Whose manager the door listens to: ours is root."""
        return ("--client-uid", "0") if self.are_own else ()

    @property
    def home(self) -> dict[str, str]:
        """A home that exists and holds nothing of anybody's."""
        return {"HOME": "/"} if self.are_own else {}

    @property
    def hidden(self) -> tuple[str, ...]:
        """Variables that are not passed on: what they tell is about root."""
        return ("USER", "LOGNAME", "MAIL", "PWD", "OLDPWD") if self.are_own else ()


def identities(data_dir: Path, run_dir: Path) -> Identities:
    """Users for the children when root starts them and this machine lets root be given up."""
    if not by_root():
        return Identities()
    paths = (*program_paths(), data_dir, run_dir)
    for user in (GATEWAY, DOOR):
        if reason := why_not(user, reach_of(user, paths)):
            return Identities(reason=reason)
    door_paths = (*program_paths(), run_dir)
    return Identities(
        gateway=becoming(GATEWAY, reach_of(GATEWAY, paths)),
        door=becoming(DOOR, reach_of(DOOR, door_paths)),
    )
