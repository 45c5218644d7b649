"""Reads a chunked body strictly, piece by piece. Pure.

A size is 1 to 12 hexadecimal digits, then CRLF or a `;` with an extension, which is dropped.
Every line ends with CRLF. Trailer fields are read and dropped: they could say again, and
differently, what the head said.
"""

import re
from collections.abc import Callable

from gateway.server.request import BadRequest

_Step = Callable[[bytes, int, list[bytes]], int | None]

MAX_LINE_BYTES = 256  # of a size with its extension
MAX_TRAILER_BYTES = 4096
_SIZE = re.compile(rb"([0-9A-Fa-f]{1,12})(?:[\t ]*;[\t\x20-\x7e\x80-\xff]*)?")
_TRAILER = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*")


class ChunkReader:
    """`feed` bytes; answers what of them is body. `rest` is what came behind the body."""

    def __init__(self) -> None:
        self.is_complete = False
        self.rest = b""
        self._left = 0  # of the chunk under way
        self._step: _Step = self._size
        self._buffer = b""
        self._trailers = 0

    def feed(self, data: bytes) -> bytes:
        """The body's bytes among these; BadRequest when the framing is malformed."""
        data = self._buffer + data if self._buffer else data
        self._buffer = b""
        pieces: list[bytes] = []
        at: int | None = 0
        while at is not None and not self.is_complete:
            at = self._step(data, at, pieces)
        if self.is_complete:
            self.rest = data[at:] if at is not None else b""
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _line(self, data: bytes, at: int, most: int) -> tuple[bytes, int] | None:
        """The line that begins at `at` and where the next one does; None when it is cut off."""
        end = data.find(b"\n", at, at + most + 2)
        if end < 0:
            if len(data) - at > most:
                raise _bad("A line of the chunked body is too long.")
            self._buffer = data[at:]
            return None
        if data[end - 1 : end] != b"\r" or end == at:
            raise _bad("A line of the chunked body does not end with CRLF.")
        return data[at : end - 1], end + 1

    def _size(self, data: bytes, at: int, _pieces: list[bytes]) -> int | None:
        line = self._line(data, at, MAX_LINE_BYTES)
        if line is None:
            return None
        size = _SIZE.fullmatch(line[0])
        if size is None:
            raise _bad("The size of a chunk is malformed.")
        self._left = int(size[1], 16)
        self._step = self._content
        if not self._left:
            self._step = self._trailer
        return line[1]

    def _content(self, data: bytes, at: int, pieces: list[bytes]) -> int | None:
        piece = data[at : at + self._left]
        if not piece:
            return None
        pieces.append(piece)
        self._left -= len(piece)
        if not self._left:
            self._step = self._end
        return at + len(piece)

    def _end(self, data: bytes, at: int, _pieces: list[bytes]) -> int | None:
        if len(data) - at < 2:
            if data[at:] not in (b"", b"\r"):
                raise _bad("A chunk is longer than it says.")
            self._buffer = data[at:]
            return None
        if data[at : at + 2] != b"\r\n":
            raise _bad("A chunk is longer than it says.")
        self._step = self._size
        return at + 2

    def _trailer(self, data: bytes, at: int, _pieces: list[bytes]) -> int | None:
        line = self._line(data, at, MAX_TRAILER_BYTES)
        if line is None:
            return None
        if not line[0]:
            self.is_complete = True
            return line[1]
        self._trailers += len(line[0])
        if self._trailers > MAX_TRAILER_BYTES or not _TRAILER.fullmatch(line[0]):
            raise _bad("The trailer of the chunked body is malformed.")
        return line[1]


def _bad(detail: str) -> BadRequest:
    return BadRequest(400, "bad_request", detail)
