"""The opening handshake of a WebSocket, as both sides must say it. Pure.

What the caller asks for passes to the app, so extensions and subprotocols are agreed on end to
end; what the app answers passes back once it is a right answer to just that. Two things stay
here: a key that a browser presents as a subprotocol, and extensions whose frames could not be
read.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from gateway.errors import BadRequestError, SandgateError
from gateway.proxy.errors import ApiBadResponseError
from gateway.proxy.headers import Field, connection_tokens, passes_to_caller

KEY_PROTOCOL = b"sandgate.key."  # a browser can set no header: the key follows as a subprotocol
OWN_PROTOCOL = b"sandgate"  # what is answered to it when the app chooses none

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_DEFLATE = b"permessage-deflate"
_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,256}")
_MAX_PROTOCOLS = 64
_OURS = frozenset({b"sec-websocket-protocol", b"sec-websocket-extensions"})
_ANSWERED = frozenset(
    {b"sec-websocket-accept", b"sec-websocket-protocol", b"sec-websocket-extensions"}
)
_LENGTHS = frozenset({b"content-length", b"transfer-encoding"})


class HandshakeError(BadRequestError):
    """It asks for a WebSocket in a way that none can follow from."""

    code, title = "websocket_handshake", "Not a WebSocket handshake"


class HandshakeVersionError(SandgateError):
    """Another version of the protocol than the only one there is."""

    status, code, title = 426, "websocket_version", "WebSocket version 13 is needed"

    def __init__(self) -> None:
        super().__init__(
            "Only version 13 of the protocol is spoken.", headers={"Sec-WebSocket-Version": "13"}
        )


class Handshake(NamedTuple):
    """What a caller asks for. `headers` are its own, as they may be read and passed on."""

    headers: Sequence[Field]
    presented: str  # the key, when it came as a subprotocol
    accept: bytes
    protocols: tuple[bytes, ...]  # that the app may choose from
    takes_own_protocol: bool
    offers_deflate: bool


class Agreement(NamedTuple):
    """What both agreed on, and the head that tells the caller."""

    headers: list[Field]
    is_compressed: bool


def is_upgrade(headers: Iterable[Field]) -> bool:
    """Whether these headers ask for a WebSocket, rightly or not."""
    return any(name == b"upgrade" and b"websocket" in value.lower() for name, value in headers)


def read_handshake(method: str, headers: Sequence[Field]) -> Handshake:
    """Read a caller's head, names in lower case; HandshakeError when it is not one."""
    by_name: dict[bytes, list[bytes]] = {}
    for name, value in headers:
        by_name.setdefault(name, []).append(value)
    if method != "GET":
        raise HandshakeError("A WebSocket is asked for with GET.")
    if not _has_tokens(by_name):
        raise HandshakeError("'Connection: Upgrade' and 'Upgrade: websocket' are needed.")
    if by_name.get(b"content-length", [b"0"]) != [b"0"] or b"transfer-encoding" in by_name:
        raise HandshakeError("It may have no body.")
    if by_name.get(b"sec-websocket-version") != [b"13"]:
        raise HandshakeVersionError
    keys = by_name.get(b"sec-websocket-key", [])
    if len(keys) != 1 or not _is_key(keys[0]):
        raise HandshakeError("Sec-WebSocket-Key must be 16 bytes in base64, once.")
    asked = _protocols(by_name.get(b"sec-websocket-protocol", ()))
    protocols = tuple(name for name in asked if not _is_own(name))
    presented = [name[len(KEY_PROTOCOL) :] for name in asked if name.startswith(KEY_PROTOCOL)]
    if len(presented) > 1:
        raise HandshakeError("A key may be presented once.")
    offers = _offers(by_name.get(b"sec-websocket-extensions", ()))
    passed = [field for field in headers if field[0] not in _OURS]
    if protocols:
        passed.append((b"sec-websocket-protocol", b", ".join(protocols)))
    if offers:
        passed.append((b"sec-websocket-extensions", b", ".join(offers)))
    return Handshake(
        headers=passed,
        presented=presented[0].decode("ascii") if presented else "",
        accept=accept_of(keys[0]),
        protocols=protocols,
        takes_own_protocol=OWN_PROTOCOL in asked,
        offers_deflate=bool(offers),
    )


def agree(asked: Handshake, answered: Sequence[Field]) -> Agreement:
    """The app's 101, names in lower case; ApiBadResponseError when it answers something else."""
    by_name: dict[bytes, list[bytes]] = {}
    for name, value in answered:
        by_name.setdefault(name, []).append(value)
    if not _has_tokens(by_name) or not _LENGTHS.isdisjoint(by_name):
        raise ApiBadResponseError("Its answer to a WebSocket handshake is not one.")
    if by_name.get(b"sec-websocket-accept") != [asked.accept]:
        raise ApiBadResponseError("Its answer belongs to another WebSocket handshake.")
    chosen = by_name.get(b"sec-websocket-protocol", [])
    if len(chosen) > 1 or any(name not in asked.protocols for name in chosen):
        raise ApiBadResponseError("It chose a subprotocol that was not offered.")
    extensions = _elements(by_name.get(b"sec-websocket-extensions", ()))
    if len(extensions) > int(asked.offers_deflate) or any(map(_is_foreign, extensions)):
        raise ApiBadResponseError("It chose an extension that was not offered.")
    if not chosen and asked.takes_own_protocol:
        chosen = [OWN_PROTOCOL]
    headers = [(b"upgrade", b"websocket"), (b"connection", b"Upgrade")]
    headers += [(b"sec-websocket-accept", asked.accept)]
    headers += [(b"sec-websocket-protocol", name) for name in chosen]
    headers += [(b"sec-websocket-extensions", one) for one in extensions]
    headers += [
        field for field in answered if field[0] not in _ANSWERED and passes_to_caller(field[0])
    ]
    return Agreement(headers, bool(extensions))


def accept_of(key: bytes) -> bytes:
    """What proves that a key was read."""
    return base64.b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest())


def _has_tokens(by_name: dict[bytes, list[bytes]]) -> bool:
    upgrade = by_name.get(b"upgrade", [])
    return (
        len(upgrade) == 1
        and upgrade[0].lower() == b"websocket"
        and b"upgrade" in connection_tokens(by_name.get(b"connection", ()))
    )


def _is_key(text: bytes) -> bool:
    try:
        return len(base64.b64decode(text, validate=True)) == 16
    except binascii.Error:
        return False


def _is_own(name: bytes) -> bool:
    return name == OWN_PROTOCOL or name.startswith(KEY_PROTOCOL)


def _is_foreign(extension: bytes) -> bool:
    """Only of this one it is known what its frames look like."""
    return extension.partition(b";")[0].strip() != _DEFLATE


def _protocols(values: Iterable[bytes]) -> list[bytes]:
    names = _elements(values)
    is_right = len(names) == len(set(names)) <= _MAX_PROTOCOLS
    if not is_right or not all(_TOKEN.fullmatch(name) for name in names):
        raise HandshakeError("Sec-WebSocket-Protocol is not a list of different names.")
    return names


def _offers(values: Iterable[bytes]) -> list[bytes]:
    """Extensions that may pass to the app; it chooses one of them or none."""
    return [one for one in _elements(values) if not _is_foreign(one)]


def _elements(values: Iterable[bytes]) -> list[bytes]:
    """A comma in a quoted string would part it; no parameter that we pass has one."""
    return [one for value in values for each in value.split(b",") if (one := each.strip())]
