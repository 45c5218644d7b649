"""The bytes of an answer: status line, date, fields, framing. Pure but for the clock of Date."""

import time
from collections.abc import Iterable
from email.utils import formatdate
from http import HTTPStatus
from typing import NamedTuple

Field = tuple[bytes, bytes]

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"
_BODILESS = frozenset({204, 304})
_OURS = frozenset({b"connection", b"transfer-encoding", b"keep-alive", b"date"})


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


STATUS_LINES = {
    status: f"HTTP/1.1 {status} {_phrase(status)}\r\n".encode() for status in range(100, 600)
}


class DateLine:
    """`Date: …` as bytes, made once a second."""

    def __init__(self) -> None:
        self._second = 0
        self._line = b""

    def __call__(self) -> bytes:
        """Of now."""
        second = int(time.time())
        if second != self._second:
            self._second = second
            self._line = b"date: %b\r\n" % formatdate(second, usegmt=True).encode()
        return self._line


date_line = DateLine()


class Framing(NamedTuple):
    """How the end of a body is told. `length` None: in chunks, or by the end of the connection."""

    length: int | None
    is_chunked: bool
    keeps: bool
    has_body: bool


def framing(
    status: int, fields: Iterable[Field], *, is_head: bool, is_http10: bool, keeps: bool
) -> Framing:
    """What the fields and the request leave open; a wrong length is the app's own fault."""
    length: int | None = None
    for name, value in fields:
        if name == b"content-length":
            length = int(value)
        elif name == b"connection" and value.lower() == b"close":
            keeps = False
    if is_head or status in _BODILESS:
        return Framing(0, False, keeps, False)
    if length is not None:
        return Framing(length, False, keeps, True)
    return Framing(None, not is_http10, keeps and not is_http10, True)


def head_bytes(status: int, fields: Iterable[Field], told: Framing, *, is_http10: bool) -> bytes:
    """The whole head. Hop-by-hop fields of the app are replaced by what is true here."""
    lines = [b"%b: %b\r\n" % field for field in fields if field[0] not in _OURS]
    if told.is_chunked:
        lines.append(b"transfer-encoding: chunked\r\n")
    if not told.keeps:
        lines.append(b"connection: close\r\n")
    elif is_http10:
        lines.append(b"connection: keep-alive\r\n")
    return b"%b%b%b\r\n" % (STATUS_LINES[status], date_line(), b"".join(lines))
