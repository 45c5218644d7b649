"""The stream in which a builder hands out a layer: announced files, then an end.

Each announcement is four bytes of length and that much JSON; a file's bytes follow its own.
Whoever writes it may lie, so nothing is kept in memory and nothing is believed.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

LENGTH_BYTES = 4
MAX_ANNOUNCEMENT = 4096
PIECE_BYTES = 256 * 1024

Read = Callable[[int], bytes]  # at most so many bytes, none at the end


class StreamError(Exception):
    """Not such a stream, or not all of one."""


class RefusedError(Exception):
    """The builder itself could not go on; the text is what it says."""


@dataclass(frozen=True, slots=True)
class Incoming:
    """One file on its way. `pieces` must be used up before the next one is asked for."""

    path: str
    size: int
    pieces: Iterator[bytes]


def incoming(read: Read) -> Iterator[Incoming]:
    """Every file of the stream. Raises StreamError, RefusedError."""
    count = 0
    while True:
        match _announcement(read):
            case {"path": str(path), "size": int(size)} if type(size) is int and size >= 0:
                count += 1
                yield Incoming(path, size, _pieces(read, size))
            case {"error": str(reason)}:
                raise RefusedError(reason)
            case {"end": int(end)} if type(end) is int and end == count:
                break
            case _:
                raise StreamError("an announcement is none of ours")
    if read(1):
        raise StreamError("bytes after the end")


def _announcement(read: Read) -> Any:
    length = int.from_bytes(_exactly(read, LENGTH_BYTES), "big")
    if not 0 < length <= MAX_ANNOUNCEMENT:
        raise StreamError("an announcement has an impossible length")
    try:
        return json.loads(_exactly(read, length))
    except (ValueError, RecursionError):
        raise StreamError("an announcement is not JSON") from None


def _exactly(read: Read, size: int) -> bytes:
    return b"".join(_pieces(read, size))


def _pieces(read: Read, size: int) -> Iterator[bytes]:
    while size:
        piece = read(min(size, PIECE_BYTES))
        if not piece:
            raise StreamError("the stream broke off")
        size -= len(piece)
        yield piece
