"""The first message of a TLS connection, which names the host in the clear. Pure."""

from dataclasses import dataclass

_HANDSHAKE = 22
_CLIENT_HELLO = 1
_LONGEST_RECORD = 16384
_LONGEST_HELLO = 32 * 1024
_MOST_RECORDS = 64
_SERVER_NAME = 0
# encrypted client hello, its inner references, and the older encrypted server name
_ENCRYPTED = frozenset({0xFE0D, 0xFD00, 0xFFCE})


class NotTlsError(Exception):
    """The bytes are no first message of TLS, or one that hides its host."""


@dataclass(frozen=True, slots=True)
class ClientHello:
    """What counts of it. `server_name` is empty when it names none."""

    server_name: str


class _Cut(Exception):  # noqa: N818
    """A field is longer than what holds it."""


class _Bytes:
    """Reads fields off the front."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, count: int) -> bytes:
        end = self._at + count
        if end > len(self._data):
            raise _Cut
        taken = self._data[self._at : end]
        self._at = end
        return taken

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def vector(self, size: int) -> "_Bytes":
        """A field with its length in front."""
        return _Bytes(self.take(self.number(size)))

    def rest(self) -> bytes:
        return self._data[self._at :]

    def __bool__(self) -> bool:
        return self._at < len(self._data)


def read_hello(data: bytes) -> ClientHello | None:
    """The message at the start of `data`; None while some of it is missing."""
    message = _handshake(data)
    if message is None:
        return None
    try:
        return _parse(_Bytes(message))
    except (_Cut, UnicodeDecodeError) as error:
        raise NotTlsError("a broken first message") from error


def _handshake(data: bytes) -> bytes | None:
    """The first handshake message, put together from as many records as it was cut into."""
    message = bytearray()
    records = _Bytes(data)
    try:
        for _ in range(_MOST_RECORDS):
            message += _record(records)
            if message[0] != _CLIENT_HELLO:
                raise NotTlsError("not a first message")
            if len(message) < 4:
                continue
            size = 4 + int.from_bytes(message[1:4], "big")
            if size > _LONGEST_HELLO:
                raise NotTlsError("a first message that is too long")
            if len(message) > size:
                raise NotTlsError("more than one message in the first records")
            if len(message) == size:
                return bytes(message[4:])
    except _Cut:
        return None
    raise NotTlsError("a first message in too many records")


def _record(records: _Bytes) -> bytes:
    """What is in the next record; wrong bytes are told at once, not when all have come."""
    if records.number(1) != _HANDSHAKE or records.number(1) != 3:
        raise NotTlsError("not TLS")
    records.number(1)
    length = records.number(2)
    if not 0 < length <= _LONGEST_RECORD:
        raise NotTlsError("a record of impossible length")
    return records.take(length)


def _parse(body: _Bytes) -> ClientHello:
    body.take(2 + 32)  # version, random
    body.vector(1)  # session
    body.vector(2)  # cipher suites
    body.vector(1)  # compression
    if not body:
        return ClientHello("")
    extensions = body.vector(2)
    if body:
        raise NotTlsError("bytes behind the extensions")
    found: dict[int, _Bytes] = {}
    while extensions:
        kind = extensions.number(2)
        if kind in found:
            raise NotTlsError("an extension twice")
        found[kind] = extensions.vector(2)
    if _ENCRYPTED & found.keys():
        raise NotTlsError("an encrypted host name")
    return ClientHello(_server_name(found[_SERVER_NAME]) if _SERVER_NAME in found else "")


def _server_name(extension: _Bytes) -> str:
    names = extension.vector(2)
    kind = names.number(1)
    name = names.vector(2).rest()
    if kind != 0 or names or extension:
        raise NotTlsError("not exactly one host name")
    return name.decode("ascii")
