"""What may be installed and from where, and what every sandbox has already."""

import platform
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from packaging.utils import canonicalize_name

from sandbox.runtimes import packages
from sandbox.runtimes.root_plan import RUNNER_SOURCE

DEFAULT_INDEX = "https://pypi.org/simple"
DEFAULT_COOLDOWN_DAYS = 7
# public indexes that keep their files on another host
_FILE_HOSTS = {
    "pypi.org": ("files.pythonhosted.org",),
    "test.pypi.org": ("test-files.pythonhosted.org",),
}
# of the runner and of the interpreter's start
_OWN_NAMES = frozenset({"app", "runner", "sandgate_runtime", "sitecustomize", "usercustomize"})
# many packages carry their tests along under this name, and sandboxes do not have Python's own
_HARMLESS_NAMES = frozenset({"test"})


class IndexUrlError(Exception):
    """The address of the package index cannot be used; the text says why."""


@dataclass(frozen=True, slots=True)
class Root:
    """What the runner root has. `versions` by normalised name; `modules` folded to lower case."""

    versions: Mapping[str, str]
    modules: frozenset[str]

    @classmethod
    def installed(cls, runner: Path = RUNNER_SOURCE) -> "Root":
        """As the root is planned from what is installed here; reads some files."""
        names = packages.names_in((runner / "requirements.in").read_text("utf-8"))
        dists = packages.closure(names)
        tops = {
            module_of(path.partition("/")[0])
            for dist in dists.values()
            for path, _ in packages.files_of(dist)
        }
        reserved = tops | _OWN_NAMES | (sys.stdlib_module_names - _HARMLESS_NAMES)
        return cls(
            {name: dist.version for name, dist in dists.items()},
            frozenset(name.casefold() for name in reserved),
        )


def module_of(entry: str) -> str:
    """Name under which Python would import a file or folder of the import path."""
    return entry.partition(".")[0]


@dataclass(frozen=True, slots=True)
class LayerSettings:
    """One installation's rules. Names in `allow` and `deny` are normalised; no `allow` is all."""

    root: Root
    index_url: str = field(default=DEFAULT_INDEX, repr=False)  # may carry a password
    cooldown_days: int = DEFAULT_COOLDOWN_DAYS
    allow: frozenset[str] = frozenset()
    deny: frozenset[str] = frozenset()
    python: str = f"{sys.version_info.major}.{sys.version_info.minor}"
    machine: str = platform.machine()

    @property
    def hosts(self) -> tuple[str, ...]:
        """Where a builder must be able to connect to, as `host:port`."""
        return index_hosts(self.index_url)


def make_settings(
    *,
    index_url: str = DEFAULT_INDEX,
    cooldown_days: int = DEFAULT_COOLDOWN_DAYS,
    allow: Iterable[str] = (),
    deny: Iterable[str] = (),
    root: Root | None = None,
) -> LayerSettings:
    """Settings from what the operator wrote. Raises IndexUrlError, PackageMissingError."""
    index_hosts(index_url)
    return LayerSettings(
        root=root or Root.installed(),
        index_url=index_url,
        cooldown_days=cooldown_days,
        allow=frozenset(canonicalize_name(name) for name in allow if name.strip()),
        deny=frozenset(canonicalize_name(name) for name in deny if name.strip()),
    )


def index_hosts(url: str) -> tuple[str, ...]:
    """Hosts of an index, `host:port` each. Raises IndexUrlError without showing the address."""
    try:
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        raise IndexUrlError("the address of the package index is not valid") from None
    if port is None or not parts.hostname or not re.fullmatch(r"[\x21-\x7e]+", url):
        raise IndexUrlError("the address of the package index is no http or https address")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return (f"{host}:{port}", *(f"{name}:443" for name in _FILE_HOSTS.get(host, ())))
