"""Finished layers on disk: written once, whole or not at all, read-only, removed when unused.

layers/<digest>        a finished layer; its own time is when it was last asked for
layers/<digest>.new    one that is being written, or what is left of that
layers/<digest>.old    one that is being removed
layers/locks/<xx>      held while a layer whose digest begins so is written or removed
"""

import asyncio
import contextlib
import ctypes
import fcntl
import os
import re
import shutil
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from sandbox.layers.admission import Admission
from sandbox.layers.settings import Root
from sandbox.layers.stream import Incoming

MAX_BYTES = 5 * 1024**3
# a layer that was just asked for may not be in its sandbox yet
YOUNG_SECONDS = 600.0
_DIGEST = re.compile(r"[0-9a-f]{64}")
_UNFINISHED = re.compile(r"([0-9a-f]{64})\.(new|old)")
_POLL_SECONDS = 0.1
_MAKE_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_LIBC = ctypes.CDLL(None, use_errno=True)


class LayerStore:
    """The layers below one data directory. Only `turn` may be called by several at once."""

    def __init__(self, data_dir: Path, *, clock: Callable[[], float] = time.time) -> None:
        self.folder = data_dir / "layers"
        self._locks = self.folder / "locks"
        self._clock = clock

    def find(self, digest: str) -> Path | None:
        """The finished layer, marked as just used."""
        path = self._path(digest)
        try:
            os.utime(path, (self._clock(), self._clock()), follow_symlinks=False)
        except FileNotFoundError:
            return None
        return path

    @asynccontextmanager
    async def turn(self, digest: str) -> AsyncIterator[None]:
        """Nobody else, in no process, writes or removes this layer. The caller sets a deadline."""
        descriptor = self._open_lock(digest)
        try:
            while not _locked(descriptor):  # noqa: ASYNC110 - no event tells of other processes
                await asyncio.sleep(_POLL_SECONDS)
            yield
        finally:
            os.close(descriptor)

    def write(self, digest: str, files: Iterable[Incoming], root: Root) -> Path:
        """Take in a whole layer during one's `turn`; blocks.

        Raises NotAdmittedError, OSError or what `files` raises; then nothing is left.
        """
        path, new = self._path(digest), self.folder / f"{digest}.new"
        _remove(new)
        new.mkdir(mode=0o700)
        try:
            _write(new, files, Admission(root))
            _seal(new)
            os.utime(new, (self._clock(), self._clock()))
            new.rename(path)
            _sync(self.folder)
        except BaseException:
            _remove(new)
            raise
        return path

    def sweep(self) -> int:
        """Remove what broken-off work left, unless somebody is at it; the number of such."""
        removed = 0
        for entry in self._entries():
            match = _UNFINISHED.fullmatch(entry.name)
            if match is None:
                continue
            with self._free(match[1]) as is_free:
                if is_free:
                    _remove(entry)
                    removed += 1
        return removed

    def evict(self, in_use: set[str], max_bytes: int = MAX_BYTES) -> int:
        """Remove layers until the others fit, longest unused first; the number removed.

        `in_use` are names of layers that a sandbox has.
        """
        layers = [entry for entry in self._entries() if _DIGEST.fullmatch(entry.name)]
        sizes = {path: _size(path) for path in layers}
        total, removed = sum(sizes.values()), 0
        limit = self._clock() - YOUNG_SECONDS
        for path in sorted(layers, key=lambda path: path.stat().st_mtime):
            if total <= max_bytes or path.stat().st_mtime > limit:
                break
            if path.name not in in_use and self._evict_one(path):
                total -= sizes[path]
                removed += 1
        return removed

    def _evict_one(self, path: Path) -> bool:
        with self._free(path.name) as is_free:
            if is_free:
                old = path.with_name(f"{path.name}.old")
                _remove(old)
                path.rename(old)  # nobody may find half a layer
                _remove(old)
            return is_free

    def _path(self, digest: str) -> Path:
        if not _DIGEST.fullmatch(digest):
            raise ValueError("a layer is named by a digest")
        return self.folder / digest

    def _entries(self) -> list[Path]:
        return list(self.folder.iterdir()) if self.folder.is_dir() else []

    def _open_lock(self, digest: str) -> int:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._locks.mkdir(mode=0o700, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        return os.open(self._locks / self._path(digest).name[:2], flags, 0o600)

    @contextmanager
    def _free(self, digest: str) -> Iterator[bool]:
        """Whether nobody is at work on this layer; nobody begins meanwhile."""
        descriptor = self._open_lock(digest)
        try:
            yield _locked(descriptor)
        finally:
            os.close(descriptor)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _write(top: Path, files: Iterable[Incoming], admission: Admission) -> None:
    descriptor = os.open(top, _OPEN_FOLDER)
    try:
        for file in files:
            _write_one(descriptor, admission.admit(file.path, file.size), file)
    finally:
        os.close(descriptor)


def _write_one(top: int, parts: tuple[str, ...], file: Incoming) -> None:
    """Step by step from the layer's own folder, following no link."""
    folder = os.dup(top)
    try:
        for part in parts[:-1]:
            with contextlib.suppress(FileExistsError):
                os.mkdir(part, 0o700, dir_fd=folder)
            below = os.open(part, _OPEN_FOLDER, dir_fd=folder)
            os.close(folder)
            folder = below
        with os.fdopen(os.open(parts[-1], _MAKE_FILE, 0o400, dir_fd=folder), "wb") as target:
            for piece in file.pieces:
                target.write(piece)
    finally:
        os.close(folder)


def _seal(top: Path) -> None:
    """Readable by every sandbox's user, writable by nobody, and on the disk."""
    for folder, _, names, descriptor in os.fwalk(top, topdown=False):
        for name in names:
            os.chmod(name, 0o444, dir_fd=descriptor)
        if Path(folder) != top:
            os.fchmod(descriptor, 0o555)
    _sync(top)
    top.chmod(0o555)


def _sync(path: Path) -> None:
    """Everything of this file system to the disk: one by one would take minutes."""
    descriptor = os.open(path, _OPEN_FOLDER)
    try:
        if _LIBC.syncfs(descriptor) != 0:
            raise OSError(ctypes.get_errno(), "the layer could not be written to the disk")
    finally:
        os.close(descriptor)


def _size(top: Path) -> int:
    """Bytes of a layer's files."""
    return sum(
        os.stat(name, dir_fd=descriptor, follow_symlinks=False).st_size
        for _, _, names, descriptor in os.fwalk(top)
        for name in names
    )


def _remove(top: Path) -> None:
    """Remove a tree, sealed or not, if it is there."""
    if not top.is_dir():
        return
    top.chmod(0o700)
    for _, folders, _, descriptor in os.fwalk(top):
        for name in folders:
            os.chmod(name, 0o700, dir_fd=descriptor)
    shutil.rmtree(top)
