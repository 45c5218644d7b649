"""Where the sockets and files of one installation's sandboxes are."""

import hashlib
import os
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

# A Unix socket's path has 107 bytes at most; below `run` we need up to 45 of them.
_LONGEST_RUN_PATH = 60
_PASSABLE = 0o711


class UnsafeDirectoryError(Exception):
    """A directory that must be ours alone belongs to somebody else or is open to others."""


def runtime_dir(data_dir: Path) -> Path:
    """The private directory for sockets: `run` in the data directory unless its path is too long.

    Then a directory of the system's temporary one, named after the data directory.
    Makes it when it is missing.
    """
    run = data_dir.resolve() / "run"
    if len(os.fsencode(run)) > _LONGEST_RUN_PATH:
        name = hashlib.sha256(os.fsencode(run)).hexdigest()[:16]
        run = Path(tempfile.gettempdir()).resolve() / f"sandgate-{name}"
    make_private(run, passable=run.is_dir() and stat.S_IMODE(run.lstat().st_mode) == _PASSABLE)
    return run


def make_private(path: Path, *, passable: bool = False) -> None:
    """Make a directory 0700, or accept an existing one that is ours and nobody else's.

    `passable`: 0711, so that another user of ours reaches a file in it that it knows by name.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.mkdir(mode=0o700, exist_ok=True)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise UnsafeDirectoryError(f"{path} is not a directory of ours; remove it")
    if found.st_mode & (0o066 if passable else 0o077):
        path.chmod(0o700)
    if passable:
        path.chmod(_PASSABLE)


@dataclass(frozen=True, slots=True)
class RunPaths:
    """Every path below the run directory."""

    run: Path

    @property
    def manager_socket(self) -> Path:
        """What the gateway connects to."""
        return self.run / "manager.sock"

    @property
    def lock(self) -> Path:
        """Held by the one manager of this directory."""
        return self.run / "manager.lock"

    @property
    def door_socket(self) -> Path:
        """Where the egress door takes the sandboxes' way out from the manager."""
        return self.run / "door" / "door.sock"

    @property
    def door_ca(self) -> Path:
        """Certificate with which the egress door signs; sandboxes trust it. Public."""
        return self.run / "door" / "ca.pem"

    @property
    def door_key(self) -> Path:
        """Key of that certificate: the door's alone, for the next door of the same sandboxes."""
        return self.run / "door" / "ca.key"

    @property
    def data_socket(self) -> Path:
        """Where the worker takes the sandboxes' way to their data from the manager."""
        return self.run / "data" / "data.sock"

    @property
    def models_socket(self) -> Path:
        """Where gateways ask the worker, which holds the client of the language models."""
        return self.run / "data" / "models.sock"

    @property
    def gateways(self) -> Path:
        """Holds one socket per gateway process, by which they ask each other."""
        return self.run / "gateways"

    def gateway_socket(self, pid: int) -> Path:
        """There while the gateway of this process takes calls."""
        return self.gateways / f"{pid}.sock"

    @property
    def controls(self) -> Path:
        """Parent of the control directories."""
        return self.run / "ctl"

    @property
    def listeners(self) -> Path:
        """Holds one listening socket per specialised sandbox."""
        return self.run / "s"

    @property
    def states(self) -> Path:
        """Holds one file per sandbox in service, for the next manager."""
        return self.run / "state"

    def control_dir(self, sandbox_id: str) -> Path:
        """Appears in the sandbox as `/ctl`, read-only."""
        return self.controls / sandbox_id

    def control_socket(self, sandbox_id: str) -> Path:
        """What the runner dials."""
        return self.control_dir(sandbox_id) / "control.sock"

    def listener(self, sandbox_id: str) -> Path:
        """What the gateway sends calls to."""
        return self.listeners / f"{sandbox_id}.sock"

    def state(self, sandbox_id: str) -> Path:
        """What the next manager needs to adopt it."""
        return self.states / f"{sandbox_id}.json"

    def make(self, *, passable: bool = False) -> None:
        """Make the manager's directories, private; `passable` where another user connects."""
        for path in (self.run, self.listeners):
            make_private(path, passable=passable)
        for path in (self.controls, self.states):
            make_private(path)
