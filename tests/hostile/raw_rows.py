"""What a row of the corpus of raw requests is, and how its bytes are written."""

import gzip
from dataclasses import dataclass
from typing import Literal

End = Literal["stays", "closes", "either"]

RFC9110, RFC9112 = "RFC 9110", "RFC 9112"


@dataclass(frozen=True, slots=True)
class Row:
    """One connection: what is sent on it, the statuses of the answers, what the sandbox sees.

    `stays`: a further call on the same connection is answered as if nothing had been.
    """

    name: str
    source: str
    sent: bytes
    statuses: tuple[int, ...]
    sees: tuple[bytes, ...] = ()  # in what reached the sandbox, all calls together
    lacks: tuple[bytes, ...] = ()  # not in it, in lower case
    end: End = "stays"

    @property
    def verdict(self) -> str:
        """For the table: what becomes of it."""
        if set(self.statuses) == {200}:
            texts = listed(" with ", self.sees) + listed(" without ", self.lacks)
            return f"{_NUMBERS[len(self.statuses)]}{texts}"
        before = "passes, then " if len(self.statuses) > 1 else ""
        return f"{before}refused with {self.statuses[-1]}"

    @property
    def ends(self) -> str:
        """For the table: the caller's connection."""
        return {"stays": "kept", "closes": "ended", "either": "either"}[self.end]


_NUMBERS = {1: "passes", 2: "two calls, in order,", 3: "three calls, in order,"}
_LONGEST = 40


def listed(before: str, texts: tuple[bytes, ...]) -> str:
    """For the table: bytes as one can read them; nothing when there are none."""
    return before + ", ".join(_shown(text) for text in texts) if texts else ""


def _shown(text: bytes) -> str:
    text = text.strip(b"\r\n").replace(b"%API%", b"/<api>")
    if len(text) > _LONGEST:
        text = text[:_LONGEST] + b"..."
    quote = "``" if b"`" in text else "`"
    return f"{quote}{text.decode('latin-1').encode('unicode_escape').decode()}{quote}"


def head(
    *lines: bytes,
    method: bytes = b"GET",
    target: bytes = b"%API%/x",
    version: bytes = b"HTTP/1.1",
    host: bytes | None = b"Host: x",
) -> bytes:
    """A request's head with a key, and these lines after it."""
    first = b"%b %b %b" % (method, target, version)
    fields = [b"X-API-Key: %KEY%", *lines]
    return b"\r\n".join([first, *([host] if host is not None else []), *fields, b"", b""])


def row(name: str, source: str, sent: bytes, status: int = 200, **more: object) -> Row:
    """A row with one answer; what is refused ends the connection."""
    end: End = "stays" if status in (200, 404) else "closes"
    return Row(name, source, sent, (status,), **{"end": end, **more})  # type: ignore[arg-type]


BOMB = gzip.compress(b"\0" * 10_000_000, mtime=0)
CHUNKED = b"Transfer-Encoding: chunked"
JSON5 = b"5\r\nhello\r\n0\r\n\r\n"
SMUGGLED = b"GET /admin HTTP/1.1\r\nHost: x\r\n\r\n"


def post(*lines: bytes, body: bytes = b"") -> bytes:
    """A POST with these lines and whatever body."""
    return head(*lines, method=b"POST") + body
