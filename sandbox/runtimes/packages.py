"""Which installed distributions user code may import, and which of their files it needs."""

import re
from collections import deque
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

NAME = re.compile(r"^\s*([A-Za-z0-9][A-Za-z0-9._-]*)")
# sources of compiled modules and type stubs are never imported
UNUSED_SUFFIXES = frozenset({".c", ".h", ".pxd", ".pyc", ".pyi", ".pyx"})


class PackageMissingError(Exception):
    """A distribution that the runner needs is not installed, or not completely."""


def names_in(text: str) -> list[str]:
    """Project names of a requirements file, one a line, comments ignored."""
    matches = (NAME.match(line) for line in text.splitlines())
    return [match[1] for match in matches if match]


def needs_of(requires: list[str]) -> dict[str, bool]:
    """Names a distribution requires; False for those that depend on the platform.

    What belongs to an extra is left out: extras that matter are named by us.
    """
    needs: dict[str, bool] = {}
    for text in requires:
        requirement, _, marker = text.partition(";")
        match = NAME.match(requirement)
        if match and "extra" not in marker:
            needs[match[1]] = not marker.strip()
    return needs


def closure(names: list[str]) -> dict[str, Distribution]:
    """The named distributions and all they need, by normalised name."""
    found: dict[str, Distribution] = {}
    queue = deque((name, True) for name in names)
    while queue:
        name, needed = queue.popleft()
        key = re.sub(r"[-_.]+", "-", name).lower()
        if key in found:
            continue
        try:
            found[key] = distribution(name)
        except PackageNotFoundError:
            if needed:
                raise PackageMissingError(f"{name} is not installed beside sandgate") from None
            continue
        queue.extend(needs_of(found[key].requires or []).items())
    return dict(sorted(found.items()))


def files_of(dist: Distribution) -> Iterator[tuple[str, Path]]:
    """Path below site-packages and source of each importable file of a distribution."""
    if dist.files is None:
        raise PackageMissingError(f"{dist.metadata['Name']} was installed without a RECORD")
    for file in dist.files:
        if ".." in file.parts or file.is_absolute() or file.suffix in UNUSED_SUFFIXES:
            continue
        yield file.as_posix(), Path(str(dist.locate_file(file)))
