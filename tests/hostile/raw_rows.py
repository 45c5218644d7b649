"""What a row of the corpus of raw requests is, and how its bytes are written."""

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
        """For the table."""
        if self.statuses == (200,) and self.lacks:
            return f"passes without {b', '.join(self.lacks).decode('latin-1')}"
        if set(self.statuses) == {200}:
            return "passes" if len(self.statuses) == 1 else f"{len(self.statuses)} calls, in order"
        return f"refused with {self.statuses[-1]}" if self.statuses else "connection closed"


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


CHUNKED = b"Transfer-Encoding: chunked"
JSON5 = b"5\r\nhello\r\n0\r\n\r\n"
SMUGGLED = b"GET /admin HTTP/1.1\r\nHost: x\r\n\r\n"


def post(*lines: bytes, body: bytes = b"") -> bytes:
    """A POST with these lines and whatever body."""
    return head(*lines, method=b"POST") + body
