"""What belongs into the runner root: the interpreter, its libraries, packages and the runner.

Only reads. The plan is a value, so that what ends up inside a sandbox can be tested
without building anything.
"""

import hashlib
import os
import platform
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sandbox.runtimes import elf, packages

FORMAT = 2  # raise it when the layout changes, so that older roots are rebuilt
RUNNER_SOURCE = Path(__file__).resolve().parent.parent / "runner"
# what user code may import beside its packages; it lies beside the runner
LIBRARY_SOURCE = RUNNER_SOURCE.parent / "runtime_library" / "sandgate_runtime"
PYTHON_NAME = f"python{sys.version_info.major}.{sys.version_info.minor}"

# parts of the standard library that a web application never imports
UNUSED_FOLDERS = frozenset(
    {
        "__pycache__", "dist-packages", "ensurepip", "idlelib", "lib2to3", "pydoc_data",
        "site-packages", "test", "tests", "tkinter", "turtledemo", "venv",
    }
)  # fmt: skip
UNUSED_FILES = frozenset({"sitecustomize.py", "usercustomize.py", "turtle.py"})
UNUSED_MODULES = (
    "_ctypes_test", "_curses", "_dbm", "_gdbm", "_test", "_tkinter", "_xxtestfuzz",
    "nis", "ossaudiodev", "readline", "xxlimited",
)  # fmt: skip
# loaded by glibc itself while it runs, so no file names them
LOADED_LATE = ("libgcc_s.so.1", "libnss_files.so.2")
# what compiled wheels take for granted (the manylinux policy): layers come later than the root
FOR_WHEELS = (
    "libdl.so.2", "libpthread.so.0", "libresolv.so.2", "librt.so.1", "libstdc++.so.6",
    "libutil.so.1", "libz.so.1",
)  # fmt: skip
MOUNT_POINTS = ("ctl", "dev", "layer", "proc", "sys", "tmp")
TEXTS = {
    "etc/group": "root:x:0:\nsandbox:x:65534:\n",
    "etc/hosts": "127.0.0.1 localhost\n::1 localhost\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
    "etc/passwd": "root:x:0:0::/:/nonexistent\nsandbox:x:65534:65534::/tmp:/nonexistent\n",
}


@dataclass(frozen=True, slots=True)
class Plan:
    """Every entry of the root by its path there, without the leading slash."""

    digest: str
    files: dict[str, Path]
    texts: dict[str, str]
    links: dict[str, str]
    folders: tuple[str, ...] = MOUNT_POINTS


def plan_root(runner: Path = RUNNER_SOURCE, library: Path = LIBRARY_SOURCE) -> Plan:
    """The root for the running interpreter and the sources of runner and library.

    A library that is not there is left out.
    """
    interpreter = Path(sys.executable).resolve()
    python = {"python/bin/python3": interpreter}
    python.update((f"python/lib/{PYTHON_NAME}/{name}", path) for name, path in _library())
    python.update(
        (f"python/{sys.platlibdir}/{PYTHON_NAME}/lib-dynload/{name}", path)
        for name, path in _modules()
    )
    dists = packages.closure(packages.names_in((runner / "requirements.in").read_text("utf-8")))
    site = {
        f"runner/site-packages/{name}": path
        for dist in dists.values()
        for name, path in packages.files_of(dist)
    }
    own = {f"runner/runner/{name}": path for name, path in _sources(runner)}
    own.update((f"runner/{library.name}/{name}", path) for name, path in _sources(library))
    libraries = _shared_libraries(interpreter, [*python.values(), *site.values()])
    versions = [f"{name}=={dist.version}" for name, dist in dists.items()]
    return Plan(
        digest=_digest(versions, {**libraries, **own, "python/bin/python3": interpreter}),
        files={**_zones(), **python, **site, **own, **libraries},
        texts=TEXTS | _import_path(),
        links=_merged_folders(),
    )


def _walk(top: Path) -> Iterator[tuple[str, Path]]:
    for folder, folders, files in os.walk(top):
        folders[:] = sorted(name for name in folders if name not in UNUSED_FOLDERS)
        for name in sorted(files):
            path = Path(folder) / name
            yield path.relative_to(top).as_posix(), path


def _library() -> Iterator[tuple[str, Path]]:
    """The standard library's own files; `lib-dynload` comes from `_modules`."""
    for name, path in _walk(Path(sysconfig.get_path("stdlib"))):
        first = name.partition("/")[0]
        if first == "lib-dynload" or first.startswith("config-") or name in UNUSED_FILES:
            continue
        yield name, path


def _modules() -> Iterator[tuple[str, Path]]:
    """Extension modules of the standard library."""
    # sysconfig's "platstdlib" would be the virtual environment's, which has none
    folder = Path(sys.base_exec_prefix) / sys.platlibdir / PYTHON_NAME / "lib-dynload"
    for name, path in _walk(folder):
        if not name.startswith(UNUSED_MODULES):
            yield name, path


def _sources(runner: Path) -> Iterator[tuple[str, Path]]:
    return ((name, path) for name, path in _walk(runner) if path.suffix == ".py")


def _import_path() -> dict[str, str]:
    """A path file where `site` looks for one; Debian's looks elsewhere than all others."""
    text = "/runner\n/runner/site-packages\n"
    return {
        f"python/lib/{PYTHON_NAME}/{folder}/runner.pth": text
        for folder in ("site-packages", "dist-packages")
    }


def _zones() -> dict[str, Path]:
    """Time zones, for `zoneinfo`; a host without them gives none."""
    top = Path("/usr/share/zoneinfo")
    return {
        f"usr/share/zoneinfo/{name}": path
        for name, path in _walk(top)
        if not name.startswith(("posix/", "right/")) and path.is_file()
    }


def _shared_libraries(interpreter: Path, files: list[Path]) -> dict[str, Path]:
    """Libraries from outside, put where libc lies: every loader searches there."""
    loader = elf.loader_of(interpreter)
    binaries = [interpreter, *(path for path in files if ".so" in path.suffixes)]
    found = elf.libraries_of(binaries, loader)
    carried = {path.resolve() for path in files}
    home = next((p.parent for n, p in found.items() if n.startswith("libc.")), loader.parent)
    late = {name: home / name for name in (*LOADED_LATE, *FOR_WHEELS) if (home / name).exists()}
    libraries = {
        _target(home / name): path.resolve()
        for name, path in sorted((found | late).items())
        if path.resolve() not in carried and path != loader
    }
    return {**libraries, _target(loader): loader.resolve()}


def _target(path: Path) -> str:
    """Where a host path lies in the root, its folder's links followed as on the host."""
    return str(path.parent.resolve() / path.name).lstrip("/")


def _merged_folders() -> dict[str, str]:
    """`/lib` and `/lib64` are links on most hosts; the root has the same ones."""
    tops = (Path(name) for name in ("/lib", "/lib64"))
    return {top.name: str(top.readlink()).lstrip("/") for top in tops if top.is_symlink()}


def _digest(versions: list[str], contents: dict[str, Path]) -> str:
    """Name of the root: equal inputs, equal name."""
    digest = hashlib.sha256()
    for text in (f"format {FORMAT}", sys.version, platform.machine(), *versions):
        digest.update(f"{text}\n".encode())
    for target, path in sorted(contents.items()):
        digest.update(f"{target} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()[:16]
