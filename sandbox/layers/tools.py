"""The layer that a builder has: the installer program, copied where sandboxes can see it."""

import hashlib
import os
import shutil
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

PROGRAM = "uv"
_ELF = b"\x7fELF"


class ToolMissingError(Exception):
    """The installer is not on this machine; the text says what to do."""


def find_program() -> Path:
    """The installer's own program, not a script in front of it. Raises ToolMissingError."""
    for path in _candidates():
        if path.is_file():
            with path.open("rb") as file:
                if file.read(len(_ELF)) == _ELF:
                    return path
    raise ToolMissingError("uv is missing: install the locked requirements")


def _candidates() -> Iterator[Path]:
    try:
        files = distribution(PROGRAM).files or []
    except PackageNotFoundError:
        files = []
    yield from (Path(str(file.locate())) for file in files if file.name == PROGRAM)
    yield from (Path(prefix, "bin", PROGRAM) for prefix in (sys.prefix, sys.base_prefix))
    found = shutil.which(PROGRAM)
    if found:
        yield Path(found)


def make_tools(folder: Path) -> Path:
    """The layer below `folder`, made when it is missing; blocks, one caller at a time.

    Raises ToolMissingError, OSError. Those of other programs are removed.
    """
    program = find_program().resolve()
    with program.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()[:16]
    target = folder / digest
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not (target / "bin" / PROGRAM).is_file():
        new = folder / f"{digest}.{os.getpid()}"
        shutil.rmtree(new, ignore_errors=True)
        (new / "bin").mkdir(parents=True)
        shutil.copyfile(program, new / "bin" / PROGRAM)
        for path in (new / "bin" / PROGRAM, new / "bin", new):
            path.chmod(0o755)
        shutil.rmtree(target, ignore_errors=True)
        new.rename(target)
    for entry in folder.iterdir():
        if entry != target:
            shutil.rmtree(entry, ignore_errors=True)
    return target
