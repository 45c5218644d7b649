"""What only the app's own process has: variables, packages, limits, a way out. After the fork."""

import os
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from .task import Limits, Task

OPEN_FILES = 4096
_LOCAL = "localhost,127.0.0.1,::1"
_MEGABYTE = 1024 * 1024
_SET_BY_RUNTIME = 4096  # processes; what an operating system sets by itself is higher


def settle_in(task: Task, layer: str, proxy_port: int, scratch: Path) -> None:
    """Apply everything, the limits last: the bundle may be larger than a file may be."""
    # set here and not at the start of the process, so /proc/<pid>/environ never shows them
    os.environ.update(task.environment)
    if proxy_port:
        os.environ.update(proxy_variables(proxy_port))
        os.environ.update(trust_variables(task.ca, scratch))
    time.tzset()  # libc has read TZ long ago
    if task.layer:
        sys.path.append(layer)  # last: it cannot take the place of what the runner imports
    apply_limits(task.limits)


def proxy_variables(port: int) -> dict[str, str]:
    """For clients that ask the environment for the way out; both spellings are in use."""
    url = f"http://127.0.0.1:{port}"
    names = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
    variables = {**dict.fromkeys(names, url), "NO_PROXY": _LOCAL}
    return variables | {name.lower(): text for name, text in variables.items()}


def trust_variables(ca: str, scratch: Path) -> dict[str, str]:
    """Where clients find the certificates to trust: the usual ones, and `ca` when there is one."""
    bundle = _usual_bundle()
    if ca:
        bundle = _write_bundle(bundle, ca, scratch / "ca-certificates.pem")
    if bundle is None:
        return {}
    return dict.fromkeys(("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"), str(bundle))


def _usual_bundle() -> Path | None:
    """certifi's file, found without importing it."""
    for folder in sys.path:
        path = Path(folder, "certifi", "cacert.pem")
        if path.is_file():
            return path
    return None


def _write_bundle(usual: Path | None, ca: str, target: Path) -> Path:
    known = usual.read_text("utf-8") if usual else ""
    target.write_text(f"{known.rstrip()}\n{ca.strip()}\n", "utf-8")
    return target


def apply_limits(limits: Limits) -> None:
    """Lower this process's limits; what is lower already stays."""
    for kind, value in _wanted(limits):
        soft, hard = resource.getrlimit(kind)
        resource.setrlimit(kind, (lower(soft, value), lower(hard, value)))


def _wanted(limits: Limits) -> Iterator[tuple[int, int]]:
    yield resource.RLIMIT_CORE, 0
    yield resource.RLIMIT_NOFILE, OPEN_FILES
    if limits.tmp_mb:
        yield resource.RLIMIT_FSIZE, limits.tmp_mb * _MEGABYTE
    # these two only where the runtime has set them, because its control groups do not count:
    # processes are counted per user, and one shared with others would count strangers
    if limits.pids and is_below(resource.RLIMIT_NPROC, _SET_BY_RUNTIME):
        yield resource.RLIMIT_NPROC, limits.pids
    if limits.memory_mb and is_below(resource.RLIMIT_DATA, resource.RLIM_INFINITY):
        yield resource.RLIMIT_DATA, limits.memory_mb * _MEGABYTE


def is_below(kind: int, bound: int) -> bool:
    """Whether a limit is set, and lower than `bound` (-1: than none at all)."""
    hard = resource.getrlimit(kind)[1]
    if hard == resource.RLIM_INFINITY:
        return False
    return bound == resource.RLIM_INFINITY or hard < bound


def lower(current: int, wanted: int) -> int:
    """The smaller of two limits, where -1 means none."""
    return wanted if current == resource.RLIM_INFINITY else min(current, wanted)
