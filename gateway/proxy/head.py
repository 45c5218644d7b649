"""Reads the head of a sandbox's answer, strictly. Pure.

Whatever a sandbox sends is hostile. One expression accepts or refuses the whole head: no
folded lines, no bare CR or LF, no NUL, no space before a colon, HTTP/1.1 only. An answer
tells its length in exactly one way or is refused; reading until the end is not one, because
a sandbox that dies would look like one that finished.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

from gateway.proxy.errors import ApiBadResponseError
from gateway.proxy.headers import (
    HARMLESS,
    Field,
    cage,
    connection_tokens,
    named_in,
    passes_to_caller,
)

TOUCHED = frozenset({b"location", b"content-location", b"refresh", b"set-cookie"})  # see `mapping`
MAX_HEAD_BYTES = 64 * 1024
MAX_FIELDS = 100

_HEAD = re.compile(
    rb"HTTP/1\.1 ([1-5][0-9]{2}) [\t\x20-\x7e\x80-\xff]*+\r\n"
    rb"((?:[!#$%&'*+\-.^_`|~0-9A-Za-z]++:[\t\x20-\x7e\x80-\xff]*+\r\n)*+)\r\n"
)
_FIELD = re.compile(rb"([^:\r]++):[\t ]*+([^\r]*+)\r\n")
_FRAMING = frozenset({b"content-length", b"transfer-encoding", b"connection"})
_MAX_LENGTH_DIGITS = 15
_UNTOLD = -1


class AnswerHead(NamedTuple):
    """A final answer's head. `length` is of the body that follows; None when it is chunked."""

    status: int
    headers: list[Field]  # those that may reach the caller
    length: int | None
    keeps_connection: bool
    lines: bytes = b""  # `headers` as they go out
    is_touched: bool = False  # whether an address or a cookie is among them


def read_answer(head: bytes, *, is_head: bool, is_upgrade: bool = False) -> AnswerHead | None:
    """Read one complete head; None for an interim answer (1xx), ApiBadResponseError else.

    `is_head` says that the call was a HEAD: its answer tells a length and has no body. An
    upgrade may be answered with 101: then `headers` are all there were, in lower case.
    """
    match = _HEAD.fullmatch(head)
    if match is None:
        raise ApiBadResponseError("The head of its answer is malformed.")
    status = int(match[1])
    fields: list[Field] = _FIELD.findall(match[2])
    if b" \r\n" in head or b"\t\r\n" in head:
        fields = [(name, value.rstrip(b" \t")) for name, value in fields]
    if len(fields) > MAX_FIELDS:
        raise ApiBadResponseError(f"Its answer has more than {MAX_FIELDS} headers.")
    if status < 200:
        return _interim(status, fields, is_upgrade)
    headers: list[Field] = []
    framing: dict[bytes, list[bytes]] = {}
    for field in fields:
        if field[0] in HARMLESS:
            headers.append(field)
            continue
        name, value = field[0].lower(), field[1]
        if name in _FRAMING:
            framing.setdefault(name, []).append(value)
        if passes_to_caller(name):
            headers.append((name, value))
    return _final(status, headers, framing, is_head)


def _interim(status: int, fields: list[Field], is_upgrade: bool) -> AnswerHead | None:
    """Of the answers that are not the last word only a wanted 101 means anything."""
    if status != 101:
        return None
    if not is_upgrade:
        raise ApiBadResponseError("It switched protocols without being asked to.")
    return AnswerHead(101, [(name.lower(), value) for name, value in fields], 0, False)


def _final(
    status: int, headers: list[Field], framing: dict[bytes, list[bytes]], is_head: bool
) -> AnswerHead:
    """What framing means for this status and method."""
    length = _told_length(framing)
    keeps = True
    connection = framing.get(b"connection")
    if connection is not None:
        keeps = b"close" not in connection_tokens(connection)
        dropped = named_in(connection)
        headers = [field for field in headers if field[0] not in dropped]
    if status == 204 or (status == 304 and not is_head):
        # neither has a body, whatever it tells; the server in front would wait for one
        headers = [field for field in headers if field[0] != b"content-length"]
        length = 0
    elif length == _UNTOLD and not is_head:
        raise ApiBadResponseError("Its answer does not tell its length.")
    if length not in (0, _UNTOLD):  # without a body there is no document
        added = cage(headers)  # the first in front: browsers obey the first of several
        headers = [*added[:1], *headers, *added[1:]]
    if is_head:
        length = 0
    is_touched = any(name in TOUCHED for name, _ in headers)
    return AnswerHead(status, headers, length, keeps, lines_of(headers), is_touched)


def lines_of(headers: Iterable[Field]) -> bytes:
    """Fields as they go over the wire."""
    return b"".join([b"%b: %b\r\n" % field for field in headers])


def _told_length(framing: dict[bytes, list[bytes]]) -> int | None:
    """What the headers tell: a number, None for chunked, `_UNTOLD` for nothing."""
    codings = framing.get(b"transfer-encoding")
    lengths = framing.get(b"content-length")
    if codings is not None:
        if lengths is not None or len(codings) > 1 or codings[0].lower() != b"chunked":
            raise ApiBadResponseError("Its answer tells its length in two ways.")
        return None
    if lengths is None:
        return _UNTOLD
    if len(lengths) > 1 or not lengths[0].isdigit() or len(lengths[0]) > _MAX_LENGTH_DIGITS:
        raise ApiBadResponseError("Its answer's Content-Length is not one number.")
    return int(lengths[0])
