"""The text of a lock: read strictly, brought into one form, named by its digest. Pure."""

import hashlib
import re
from collections.abc import Iterable

from packaging.utils import canonicalize_name

from sandbox.layers.settings import LayerSettings
from sandbox.types import DependencyError, Lock

FORMAT = 1  # raise it when layers are laid out otherwise, so that older ones are built anew
MAX_PACKAGES = 150
MAX_CHARACTERS = 1024 * 1024
_LINE = re.compile(
    r"(?P<name>[a-z0-9](?:[a-z0-9-]{0,98}[a-z0-9])?)==(?P<version>[A-Za-z0-9.!+_-]{1,100})"
    r"(?P<hashes>(?: --hash=sha256:[0-9a-f]{64})+)"
)

NOTHING = Lock("", "", ())


class LockTextError(Exception):
    """Not the text of a lock; the text says where it stops being one."""


def resolved(text: str, settings: LayerSettings) -> Lock:
    """The lock from a resolver's output, without what sandboxes have anyway.

    Raises LockTextError for anything else than names, versions and hashes.
    """
    if len(text) > MAX_CHARACTERS:
        raise LockTextError("it is too long")
    joined = re.sub(r"\s*\\\r?\n\s*", " ", text)
    lines = (line.strip() for line in joined.splitlines())
    wanted = (line for line in lines if line and not line.startswith("#"))
    kept = [line for line in wanted if _name(line) not in settings.root.versions]
    return _lock(kept, settings) if kept else NOTHING


def stored(text: str, settings: LayerSettings) -> Lock:
    """A lock as it was made earlier, for the Python and machine of now. Raises LockTextError."""
    if len(text) > MAX_CHARACTERS:
        raise LockTextError("it is too long")
    lines = text.splitlines()
    lock = _lock(lines, settings)
    if lock.text != text:
        raise LockTextError("it is not in order")
    return lock


def check_policy(names: Iterable[str], settings: LayerSettings) -> None:
    """Raise DependencyError for the first name that the operator does not want."""
    for name in names:
        key = canonicalize_name(name)
        if key in settings.deny:
            raise DependencyError(f"the package {key} is not allowed here")
        if settings.allow and key not in settings.allow and key not in settings.root.versions:
            raise DependencyError(f"the package {key} is not on the list of allowed packages")


def names_of(lock: Lock) -> list[str]:
    """The locked names."""
    return [package.partition("==")[0] for package in lock.packages]


def _name(line: str) -> str:
    return line.partition("==")[0]


def _lock(lines: list[str], settings: LayerSettings) -> Lock:
    if not 0 < len(lines) <= MAX_PACKAGES:
        raise LockTextError(f"it names {len(lines)} packages; at most {MAX_PACKAGES} are possible")
    pins = {}
    for number, line in enumerate(lines, 1):
        match = _LINE.fullmatch(line)
        if match is None or match["name"] in pins:
            raise LockTextError(f"package {number} of it has no exact version and hashes")
        pins[match["name"]] = (match["version"], sorted(set(match["hashes"].split())))
    ordered = sorted(pins.items())
    text = "".join(f"{name}=={version} {' '.join(hashes)}\n" for name, (version, hashes) in ordered)
    return Lock(
        digest=_digest(text, settings),
        text=text,
        packages=tuple(f"{name}=={version}" for name, (version, _) in ordered),
    )


def _digest(text: str, settings: LayerSettings) -> str:
    head = f"format {FORMAT}\npython {settings.python}\nmachine {settings.machine}\n"
    return hashlib.sha256(f"{head}{text}".encode()).hexdigest()
