"""Which shared libraries a program or extension module needs, answered by its own loader."""

import re
import struct
import subprocess
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

PT_INTERP = 3
LIST_SECONDS = 20
# "libz.so.1 => /lib/x86_64-linux-gnu/libz.so.1 (0x00007f…)"; a missing one has no path
FOUND = re.compile(r"^\s*(?P<name>\S+) => (?P<path>/.+) \(0x[0-9a-f]+\)$")


class ElfError(Exception):
    """A file is not the 64-bit ELF program it should be."""


def loader_of(program: Path) -> Path:
    """The dynamic loader that a 64-bit little-endian program asks for (PT_INTERP)."""
    with program.open("rb") as file:
        header = file.read(64)
        if len(header) < 64 or header[:6] != b"\x7fELF\x02\x01":
            raise ElfError(f"{program} is not a 64-bit little-endian ELF file")
        offset, entry_size, entries = (
            struct.unpack_from("<Q", header, 32)[0],
            struct.unpack_from("<H", header, 54)[0],
            struct.unpack_from("<H", header, 56)[0],
        )
        for index in range(entries):
            file.seek(offset + index * entry_size)
            kind, _, start, _, _, size = struct.unpack("<IIQQQQ", file.read(40))
            if kind == PT_INTERP:
                file.seek(start)
                return Path(file.read(size).rstrip(b"\0").decode())
    raise ElfError(f"{program} names no dynamic loader")


def parse_list(text: str) -> dict[str, Path]:
    """Name and place of each library in what a loader's `--list` prints."""
    matches = (FOUND.match(line) for line in text.splitlines())
    return {match["name"]: Path(match["path"]) for match in matches if match}


def libraries_of(files: Iterable[Path], loader: Path) -> dict[str, Path]:
    """All libraries that the files load, directly or not; what cannot be found is left out."""

    def listed(file: Path) -> dict[str, Path]:
        answer = subprocess.run(
            [loader, "--list", file],
            capture_output=True,
            text=True,
            check=False,
            timeout=LIST_SECONDS,
            env={},
        )
        return parse_list(answer.stdout)

    libraries: dict[str, Path] = {}
    with ThreadPoolExecutor(2) as threads:
        for answer in threads.map(listed, files):
            libraries.update(answer)
    return libraries
