"""A request's body as it arrives: bounded in memory, told in whatever way the head says."""

from gateway.server.chunks import ChunkReader

HIGH_WATER = 256 * 1024  # bytes held for a slow reader


class Body:
    """Takes raw bytes in, gives content out; `rest` belongs to the next request."""

    __slots__ = ("_chunks", "_left", "_pieces", "held", "is_complete", "rest")

    def __init__(self, length: int | None) -> None:
        self._left = length or 0
        self._chunks = ChunkReader() if length is None else None
        self._pieces: list[bytes] = []
        self.held = 0
        self.is_complete = length == 0
        self.rest = b""

    def feed(self, data: bytes) -> None:
        """Bytes from the caller; BadRequest when chunks are malformed."""
        if self.is_complete:
            self.rest += data
        elif self._chunks is not None:
            self._hold(self._chunks.feed(data))
            if self._chunks.is_complete:
                self.is_complete = True
                self.rest = self._chunks.rest
        else:
            self._hold(data[: self._left])
            if len(data) >= self._left:
                self.is_complete = True
                self.rest = data[self._left :]
                self._left = 0
            else:
                self._left -= len(data)

    def take(self) -> bytes:
        """Everything that has arrived and was not taken yet."""
        pieces, self._pieces, self.held = self._pieces, [], 0
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _hold(self, piece: bytes) -> None:
        if piece:
            self._pieces.append(piece)
            self.held += len(piece)
