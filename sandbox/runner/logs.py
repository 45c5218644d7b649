"""Bounds on what user code prints: line length, lines per second, bytes kept. All pure."""

from collections import deque
from collections.abc import Iterator

LINE_BYTES = 4096
RING_BYTES = 64 * 1024
LINES_PER_SECOND = 200.0
BURST_LINES = 1000.0


class LineSplitter:
    """Turns bytes of one stream into lines of at most `LINE_BYTES`; longer ones are cut."""

    def __init__(self, limit: int = LINE_BYTES) -> None:
        self._limit = limit
        self._rest = b""

    def feed(self, data: bytes) -> list[str]:
        """Lines that are complete now."""
        *whole, self._rest = (self._rest + data).split(b"\n")
        lines = [part for line in whole for part in self._cut(line)]
        if len(self._rest) > self._limit:
            *parts, self._rest = self._cut(self._rest)
            lines += parts
        return [_text(line) for line in lines]

    def flush(self) -> list[str]:
        """What was written after the last newline."""
        rest, self._rest = self._rest, b""
        return [_text(part) for part in self._cut(rest)] if rest else []

    def _cut(self, line: bytes) -> list[bytes]:
        parts = []
        while len(line) > self._limit:
            end = _character_start(line, self._limit)
            parts.append(line[:end])
            line = line[end:]
        return [*parts, line]


def _character_start(data: bytes, index: int) -> int:
    """The nearest place at or before `index` that does not split a UTF-8 character."""
    for back in range(4):
        if data[index - back] & 0xC0 != 0x80:
            return index - back
    return index


def _text(line: bytes) -> str:
    return line.removesuffix(b"\r").decode("utf-8", "replace")


class LineRate:
    """Token bucket over lines; counts what it had to drop."""

    def __init__(self, per_second: float = LINES_PER_SECOND, burst: float = BURST_LINES) -> None:
        self._per_second = per_second
        self._burst = burst
        self._tokens = burst
        self._at: float | None = None
        self._dropped = 0

    def admit(self, now: float) -> bool:
        """Whether one line more may pass at `now` (any monotonic clock)."""
        if self._at is not None:
            grown = self._tokens + (now - self._at) * self._per_second
            self._tokens = min(self._burst, grown)
        self._at = now
        if self._tokens < 1:
            self.drop()
            return False
        self._tokens -= 1
        return True

    def drop(self) -> None:
        """Count a line that was lost elsewhere."""
        self._dropped += 1

    def take_marker(self) -> str | None:
        """The line that stands for those dropped since the last one."""
        dropped, self._dropped = self._dropped, 0
        return f"… {dropped} lines dropped" if dropped else None


class Ring:
    """The newest lines, at most `limit` bytes of text (each line counts a little more)."""

    def __init__(self, limit: int = RING_BYTES) -> None:
        self._limit = limit
        self._lines: deque[tuple[float, str, str]] = deque()
        self._bytes = 0

    def add(self, at: float, stream: str, text: str) -> None:
        """Keep a line; the oldest make room."""
        self._lines.append((at, stream, text))
        self._bytes += _weight(text)
        while self._bytes > self._limit and len(self._lines) > 1:
            self._bytes -= _weight(self._lines.popleft()[2])

    def clear(self) -> None:
        """Forget everything."""
        self._lines.clear()
        self._bytes = 0

    def __iter__(self) -> Iterator[tuple[float, str, str]]:
        return iter(self._lines)


def _weight(text: str) -> int:
    return len(text) + 32
