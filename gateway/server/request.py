"""Reads the head of a request strictly. Pure. The rules, all of them:

* The request line is `METHOD SP target SP HTTP/1.x CRLF`, single spaces, no blank line before it.
  A method is a token of at most 32 characters; CONNECT is refused (501).
* A target is a path of visible ASCII without `#`, passed on byte for byte: `%2F`, `%00`, dot
  segments and double slashes are neither decoded nor resolved nor merged. `http://host/path` is
  taken when its host is the Host header's. Everything else is refused (400).
* The version is 1.1 or 1.0 (else 505). 1.1 needs exactly one Host of plain characters; 1.0
  may leave it out and cannot send chunks.
* A field is `name: value CRLF`; the name a token with nothing before the colon, the value free
  of control characters. Folded lines, bare CR or LF and NUL are refused (400).
* A body is told by one Content-Length of digits or by exactly `Transfer-Encoding: chunked`;
  both, two, a list, or another coding are refused (400).
* At most 100 fields and 32 KiB (431). `Expect` may only be `100-continue` (417).

Whoever breaks a rule gets the answer and the connection is closed: what follows on it could be
read in two ways.
"""

import re
from typing import NamedTuple

Field = tuple[bytes, bytes]

MAX_HEAD_BYTES = 32 * 1024
MAX_FIELDS = 100
MAX_LENGTH_DIGITS = 15

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
_LINE = re.compile(rb"(" + _TOKEN + rb"{1,32}) ([\x21\x22\x24-\x7e]++) HTTP/([0-9])\.([0-9])\r\n")
_FIELDS = re.compile(rb"((?:" + _TOKEN + rb"++:[\t\x20-\x7e\x80-\xff]*+\r\n)*+)\r\n")
_FIELD = re.compile(rb"([^:\r]++):[\t ]*+([^\r]*+)\r\n")
_HOST = re.compile(rb"(?:[A-Za-z0-9._~-]{1,255}|\[[0-9A-Fa-f:.]{2,64}\])(?::[0-9]{0,5})?")
_ABSOLUTE = re.compile(rb"https?://([^/?#@]*)", re.IGNORECASE)


class BadRequest(Exception):  # noqa: N818 - it is the answer as well as the failure
    """The head breaks a rule: status and words of the answer."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail = status, code, detail


class Head(NamedTuple):
    """A request's head. `length` is of its body, None when it comes in chunks."""

    method: str
    path: bytes  # raw
    query: bytes  # raw, without its question mark
    fields: tuple[Field, ...]  # in their order, names in lower case
    host: bytes
    length: int | None
    keeps: bool  # whether the connection may be used again
    expects: bool  # whether the caller waits for 100 Continue
    upgrade: bytes  # what it asks to change to, in lower case; empty when nothing
    is_http10: bool


def read_head(data: bytes) -> Head:
    """One whole head, its empty line included; BadRequest when it breaks a rule."""
    line = _LINE.match(data)
    if line is None:
        raise _malformed(data)
    method, target, major, minor = line.groups()
    if major != b"1" or minor not in (b"0", b"1"):
        raise BadRequest(505, "bad_version", "Only HTTP/1.1 and HTTP/1.0 are spoken here.")
    block = _FIELDS.fullmatch(data, line.end())
    if block is None:
        raise BadRequest(400, "bad_request", "A header field is malformed.")
    fields = [(name.lower(), value.rstrip(b" \t")) for name, value in _FIELD.findall(block[1])]
    if len(fields) > MAX_FIELDS:
        raise BadRequest(431, "head_too_large", f"At most {MAX_FIELDS} header fields.")
    return _head(method, target, fields, is_http10=minor == b"0")


def refuse_partial(data: bytes) -> None:
    """Refuse at once what can never become a head; called while its end has not come yet."""
    if len(data) > MAX_HEAD_BYTES:
        raise BadRequest(431, "head_too_large", f"At most {MAX_HEAD_BYTES} bytes of headers.")
    if b"\n\n" in data or data[:1] in b"\r\n\x16\x80":
        raise _malformed(data)


def _malformed(data: bytes) -> BadRequest:
    if data.startswith(b"\x16\x03"):
        return BadRequest(400, "bad_request", "This port speaks HTTP without TLS.")
    if data.startswith(b"PRI * HTTP/2"):
        return BadRequest(505, "bad_version", "Only HTTP/1.1 and HTTP/1.0 are spoken here.")
    return BadRequest(400, "bad_request", "The request line is malformed.")


def _head(method: bytes, target: bytes, fields: list[Field], *, is_http10: bool) -> Head:
    if method == b"CONNECT":
        raise BadRequest(501, "method_refused", "CONNECT is not taken here.")
    read: dict[bytes, list[bytes]] = {}
    for name, value in fields:
        if name in _READ:
            read.setdefault(name, []).append(value)
    host = _host(read.get(b"host", []), is_http10=is_http10)
    path, _, query = _origin(target, host).partition(b"?")
    tokens = _tokens(read.get(b"connection", ()))
    upgrade = read.get(b"upgrade", [b""])[0].lower() if b"upgrade" in tokens else b""
    return Head(
        method=method.decode(),
        path=path,
        query=query,
        fields=tuple(fields),
        host=host,
        length=_length(read, is_http10=is_http10),
        keeps=(b"keep-alive" in tokens) if is_http10 else b"close" not in tokens,
        expects=_expects(read.get(b"expect", ())) and not is_http10,
        upgrade=b"" if is_http10 else upgrade,
        is_http10=is_http10,
    )


_READ = frozenset(
    {b"host", b"connection", b"content-length", b"transfer-encoding", b"expect", b"upgrade"}
)


def _host(values: list[bytes], *, is_http10: bool) -> bytes:
    if not values and is_http10:
        return b""
    if len(values) != 1:
        raise BadRequest(400, "bad_request", "Exactly one Host is needed.")
    if not _HOST.fullmatch(values[0]):
        raise BadRequest(400, "bad_request", "The Host is malformed.")
    return values[0]


def _origin(target: bytes, host: bytes) -> bytes:
    """The target as a path with its query."""
    if target[:1] == b"/":
        return target
    absolute = _ABSOLUTE.match(target)
    if absolute is None or absolute[1].lower() != host.lower():
        raise BadRequest(400, "bad_request", "The target is no path of this host.")
    rest = target[absolute.end() :]
    if rest[:1] not in (b"", b"/", b"?"):
        raise BadRequest(400, "bad_request", "The target is no path of this host.")
    return rest if rest[:1] == b"/" else b"/" + rest


def _length(read: dict[bytes, list[bytes]], *, is_http10: bool) -> int | None:
    codings, lengths = read.get(b"transfer-encoding"), read.get(b"content-length")
    if codings is not None:
        if lengths is not None:
            raise BadRequest(400, "ambiguous_request", "Content-Length or chunks, not both.")
        if len(codings) > 1 or is_http10 or codings[0].lower() != b"chunked":
            raise BadRequest(400, "ambiguous_request", "Only 'Transfer-Encoding: chunked'.")
        return None
    if lengths is None:
        return 0
    text = lengths[0]
    if len(lengths) > 1 or not text.isdigit() or len(text) > MAX_LENGTH_DIGITS:
        raise BadRequest(400, "ambiguous_request", "Content-Length must be one number.")
    return int(text)


def _expects(values: list[bytes] | tuple[()]) -> bool:
    for value in values:
        if value.lower() != b"100-continue":
            raise BadRequest(417, "expectation_failed", "Only 'Expect: 100-continue' is known.")
    return bool(values)


def _tokens(values: list[bytes] | tuple[()]) -> frozenset[bytes]:
    if not values:
        return _NO_TOKENS
    return frozenset(each.strip().lower() for value in values for each in value.split(b","))


_NO_TOKENS: frozenset[bytes] = frozenset()
