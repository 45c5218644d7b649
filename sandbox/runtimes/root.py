"""Builds the runner root: one read-only folder tree that every sandbox has as its `/`.

It is made offline from the Python that runs this, so both runtimes offer user code the
very same interpreter and packages. It holds no shell, no compiler and nothing setuid.
"""

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sandbox.runtimes.base import RuntimeUnavailableError
from sandbox.runtimes.elf import ElfError
from sandbox.runtimes.packages import PackageMissingError
from sandbox.runtimes.root_plan import RUNNER_SOURCE, Plan, plan_root

# -I: no variables and no working directory on the import path
RUNNER_ARGV = ("/python/bin/python3", "-I", "-m", "runner", "--control", "/ctl/control.sock")
CONTROL = "/ctl"
LAYER = "/layer"
TMP = "/tmp"  # noqa: S108 - the sandbox's own, not the host's
SHM = "/dev/shm"  # noqa: S108 - likewise
RUNNER_ENV = {
    "HOME": TMP,
    "LANG": "C.UTF-8",
    "LOGNAME": "sandbox",
    # worker threads would otherwise reserve 64 MB of address space each
    "MALLOC_ARENA_MAX": "2",
    "PATH": "/python/bin",
    "USER": "sandbox",
}
COMPILE_SECONDS = 300


@dataclass(frozen=True, slots=True)
class RunnerRoot:
    """A finished root. `digest` names its content."""

    path: Path
    digest: str


def build_root(data_dir: Path, *, runner: Path = RUNNER_SOURCE) -> RunnerRoot:
    """Return the root below `data_dir/runner`, building it if it is not there.

    Blocks for some seconds the first time; call it in a thread. Roots of other contents
    are removed. Raises RuntimeUnavailableError with what to do.
    """
    try:
        plan = plan_root(runner)
        folder = data_dir / "runner"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _only_builder(folder):
            target = folder / plan.digest
            if not target.is_dir():
                _write(plan, folder / f"{plan.digest}.new")
                (folder / f"{plan.digest}.new").rename(target)
            _remove_others(folder, keep=plan.digest)
    except PackageMissingError as error:
        raise RuntimeUnavailableError(f"{error}; install the locked requirements") from error
    except (OSError, ElfError, subprocess.SubprocessError) as error:
        raise RuntimeUnavailableError(f"cannot build the runner root: {error}") from error
    return RunnerRoot(target, plan.digest)


@contextmanager
def _only_builder(folder: Path) -> Iterator[None]:
    """Two builders of one data directory take turns; the second finds the work done."""
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _remove_others(folder: Path, *, keep: str) -> None:
    for entry in folder.iterdir():
        if entry.is_dir() and entry.name != keep:
            shutil.rmtree(entry)


def _write(plan: Plan, top: Path) -> None:
    if top.exists():
        shutil.rmtree(top)
    top.mkdir()
    for name in plan.folders:
        (top / name).mkdir()
    for name, link in plan.links.items():
        (top / link).mkdir(parents=True, exist_ok=True)
        (top / name).symlink_to(link)
    for name, text in plan.texts.items():
        _parent(top / name).write_text(text, encoding="utf-8")
    for name, source in plan.files.items():
        if source.is_file():  # a RECORD may name files that an installer left out
            _copy(source, _parent(top / name))
    _compile(top)
    _seal(top)


def _parent(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _copy(source: Path, target: Path) -> None:
    """Content and whether it may be executed; owner, times and attributes stay behind."""
    shutil.copyfile(source, target)
    if os.access(source, os.X_OK):
        target.chmod(0o755)


def _compile(top: Path) -> None:
    """Byte code that is never checked against its source: the tree cannot change."""
    subprocess.run(
        [
            *(sys.executable, "-I", "-m", "compileall", "-qq", "-j", "0"),
            *("--invalidation-mode", "unchecked-hash", "-s", str(top), "-p", "/"),
            *(str(top / "python"), str(top / "runner")),
        ],
        check=False,  # a package may carry a template that is not valid Python
        timeout=COMPILE_SECONDS,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )


def _seal(top: Path) -> None:
    """Readable by every user, writable by none, whatever the umask was."""
    for folder, _, files in os.walk(top):
        Path(folder).chmod(0o755)
        for name in files:
            path = Path(folder) / name
            if not path.is_symlink():
                path.chmod(0o555 if os.access(path, os.X_OK) else 0o444)
