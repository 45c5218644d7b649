"""The file of a backup: a tar whose every byte the line at its end vouches for.

`tar tf` lists it. The manifest is the last member and has size and sha256 of each part; the
line behind the tar has the sha256 of everything before it.
"""

import hashlib
import io
import json
import os
import re
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath
from typing import IO, Any

from gateway.errors import SandgateError

FORMAT = 1
MANIFEST = "manifest.json"
PIECE_BYTES = 1024 * 1024
_TRAILER = re.compile(rb"sandgate-backup ([0-9]{4}) sha256 ([0-9a-f]{64})\n")
_TRAILER_BYTES = len(b"sandgate-backup 0001 sha256 ") + 64 + 1
_MANIFEST_BYTES = 64 * 1024 * 1024


class BackupError(SandgateError):
    """A backup cannot be made or used; `detail` says why and what to do."""

    code, title = "backup_unusable", "The backup cannot be made or used"


@dataclass(frozen=True, slots=True)
class Part:
    """What the manifest says of one member."""

    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup holds and what it needs."""

    made_at: str
    sandgate: str
    postgres: int  # major version
    schema: tuple[str, ...]  # applied migrations, oldest first
    needs: tuple[str, ...]  # secrets that came from the environment
    parts: Mapping[str, Part]


class ArchiveWriter:
    """Writes the parts one after the other, then manifest and last line."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.parts: dict[str, Part] = {}

    def add(self, name: str, pieces: Iterable[bytes]) -> Part:
        """One part; its size need not be known before."""
        start = self._file.tell()
        self._file.write(bytes(len(_header(name, 0))))
        digest, size = hashlib.sha256(), 0
        for piece in pieces:
            self._file.write(piece)
            digest.update(piece)
            size += len(piece)
        self._file.write(bytes(-size % tarfile.BLOCKSIZE))
        end = self._file.tell()
        self._file.seek(start)
        self._file.write(_header(name, size))
        self._file.seek(end)
        part = self.parts[name] = Part(size, digest.hexdigest())
        return part

    def finish(
        self,
        *,
        made_at: str,
        sandgate: str,
        postgres: int,
        schema: Iterable[str],
        needs: Iterable[str],
    ) -> Manifest:
        """Manifest, end of the tar, and the line that vouches for it all."""
        manifest = Manifest(made_at, sandgate, postgres, tuple(schema), tuple(needs), self.parts)
        text = json.dumps(asdict(manifest), indent=2) + "\n"
        self.add(MANIFEST, [text.encode()])
        self._file.write(bytes(2 * tarfile.BLOCKSIZE))
        self._file.seek(0)
        digest = _digest(_pieces(self._file))
        self._file.write(f"sandgate-backup {FORMAT:04} sha256 {digest}\n".encode())
        return manifest


class Archive:
    """A backup that was found whole; BackupError when it is not one, or not whole."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        _check_whole(file)
        file.seek(0)
        try:
            self._tar = tarfile.TarFile(fileobj=file)
            members = self._tar.getmembers()
            self.manifest = _manifest(self._content(members[-1]) if members else b"")
        except (tarfile.TarError, ValueError, TypeError, KeyError) as error:
            raise _not_one("its content is not what a backup has") from error
        self._members = {member.name: member for member in members[:-1]}
        self._check_parts(len(members) - 1)

    def names(self, prefix: str = "") -> list[str]:
        """Parts whose names begin so."""
        return sorted(name for name in self._members if name.startswith(prefix))

    def read(self, name: str) -> Iterator[bytes]:
        """The content of one part."""
        yield from _pieces(self._stream(self._members[name]))

    def _check_parts(self, count: int) -> None:
        parts = self.manifest.parts
        if count != len(parts) or set(self._members) != set(parts):
            raise _not_one("its parts are not those of its manifest")
        for name, member in self._members.items():
            if not member.isreg() or not _is_plain(name):
                raise _not_one(f"it has a part {name!r}")
            if Part(member.size, _digest(_pieces(self._stream(member)))) != parts[name]:
                raise _not_one(f"{name} is not what the manifest says")

    def _content(self, member: tarfile.TarInfo) -> bytes:
        if member.name != MANIFEST or not member.isreg() or member.size > _MANIFEST_BYTES:
            raise ValueError("no manifest")
        return self._stream(member).read()

    def _stream(self, member: tarfile.TarInfo) -> IO[bytes]:
        return self._tar.extractfile(member) or io.BytesIO()


def _check_whole(file: IO[bytes]) -> None:
    size = file.seek(0, os.SEEK_END)
    covered = max(0, size - _TRAILER_BYTES)
    file.seek(covered)
    found = _TRAILER.fullmatch(file.read())
    if found is None:
        raise _not_one("its last line is missing: it was cut off, or is no backup")
    if int(found[1]) > FORMAT:
        raise BackupError(
            "The backup was made by a newer release, in a format this one does not know; "
            "install that release and restore again."
        )
    file.seek(0)
    if _digest(_pieces(file, covered)) != found[2].decode() or int(found[1]) != FORMAT:
        raise _not_one("it was changed after it was made")


def _manifest(content: bytes) -> Manifest:
    value: Any = json.loads(content)  # its digest has been checked
    return Manifest(
        made_at=str(value["made_at"]),
        sandgate=str(value["sandgate"]),
        postgres=int(value["postgres"]),
        schema=tuple(map(str, value["schema"])),
        needs=tuple(map(str, value["needs"])),
        parts={name: Part(**part) for name, part in value["parts"].items()},
    )


def _header(name: str, size: int) -> bytes:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = size, 0o600
    return entry.tobuf(tarfile.GNU_FORMAT)


def _is_plain(name: str) -> bool:
    """Whether it stays below where it is put."""
    path = PurePosixPath(name)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts


def _pieces(file: IO[bytes], limit: int | None = None) -> Iterator[bytes]:
    left = limit
    while piece := file.read(PIECE_BYTES if left is None else min(left, PIECE_BYTES)):
        left = None if left is None else left - len(piece)
        yield piece


def _digest(pieces: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()


def _not_one(reason: str) -> BackupError:
    return BackupError(
        f"The backup cannot be used: {reason}. Nothing was changed; use another backup, "
        "or fetch this one again from where it was kept."
    )
