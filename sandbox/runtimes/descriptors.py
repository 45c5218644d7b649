"""Pipes and nameless files that are handed to a child process."""

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager


class Pipe:
    """A pipe of which the child gets one end and we keep the other."""

    def __init__(self, *, child_reads: bool) -> None:
        read, write = os.pipe()
        self.theirs, self.ours = (read, write) if child_reads else (write, read)
        self._open = {read, write}

    def hand_over(self) -> None:
        """Close the child's end here, once the child has it."""
        self._close(self.theirs)

    def take(self) -> int:
        """Our end, from now on the caller's to close."""
        self._open.discard(self.ours)
        return self.ours

    def close(self) -> None:
        """Close what is still open here."""
        for descriptor in tuple(self._open):
            self._close(descriptor)

    def _close(self, descriptor: int) -> None:
        if descriptor in self._open:
            self._open.discard(descriptor)
            os.close(descriptor)


@contextmanager
def pipe(*, child_reads: bool) -> Iterator[Pipe]:
    """A pipe that is closed at the end, but for what was taken."""
    made = Pipe(child_reads=child_reads)
    with contextlib.closing(made):
        yield made


@contextmanager
def memory_file(content: bytes) -> Iterator[int]:
    """Descriptor of a nameless file that holds the content, to be read from its start."""
    descriptor = os.memfd_create("sandgate", os.MFD_CLOEXEC)
    try:
        with os.fdopen(os.dup(descriptor), "wb") as file:
            file.write(content)
        os.lseek(descriptor, 0, os.SEEK_SET)
        yield descriptor
    finally:
        os.close(descriptor)
