"""Reading which loader and libraries a program needs."""

import sys
from pathlib import Path

import pytest

from sandbox.runtimes.elf import ElfError, libraries_of, loader_of, parse_list

LISTED = """\
\tlinux-vdso.so.1 (0x00007ffd)
\tlibz.so.1 => /lib/x86_64-linux-gnu/libz.so.1 (0x00007f01)
\tlibodd.so => not found
\tlibc.so.6 => /lib/with space/libc.so.6 (0x00007f02)
\t/lib64/ld-linux-x86-64.so.2 (0x00007f03)
"""


def test_a_listing_gives_names_and_places_of_what_was_found() -> None:
    assert parse_list(LISTED) == {
        "libz.so.1": Path("/lib/x86_64-linux-gnu/libz.so.1"),
        "libc.so.6": Path("/lib/with space/libc.so.6"),
    }


def test_the_running_interpreter_names_a_loader_that_exists() -> None:
    assert loader_of(Path(sys.executable).resolve()).exists()


def test_the_running_interpreter_needs_libc() -> None:
    program = Path(sys.executable).resolve()
    assert any(name.startswith("libc.") for name in libraries_of([program], loader_of(program)))


@pytest.mark.parametrize("content", [b"", b"#!/bin/sh\n", b"\x7fELF\x01\x01" + bytes(100)])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "file"
    file.write_bytes(content)
    with pytest.raises(ElfError):
        loader_of(file)
