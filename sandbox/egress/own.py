"""This machine's own addresses, as the kernel lists them now."""

import socket
import struct
import time
from ipaddress import ip_address

from sandbox.egress.addresses import Address

_FRESH_SECONDS = 5.0
_TIMEOUT_SECONDS = 2.0
_REQUEST_DUMP = 0x301
_GET_ADDRESSES, _NEW_ADDRESS, _ERROR, _DONE = 22, 20, 2, 3
_HEADER = struct.Struct("=IHHII")
_MESSAGE_BYTES = 8  # the fixed part of an address message
_ATTRIBUTE = struct.Struct("=HH")
_IFA_ADDRESS, _IFA_LOCAL = 1, 2


class OwnAddresses:
    """Asks at most every few seconds."""

    def __init__(self) -> None:
        self._asked = float("-inf")
        self._known: frozenset[Address] = frozenset()

    def __contains__(self, address: object) -> bool:
        if time.monotonic() - self._asked > _FRESH_SECONDS:
            self._known = own_addresses()
            self._asked = time.monotonic()
        return address in self._known


def own_addresses() -> frozenset[Address]:
    """Every address of every interface; OSError when the kernel does not say."""
    found: set[Address] = set()
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as sock:
        sock.settimeout(_TIMEOUT_SECONDS)
        size = _HEADER.size + _MESSAGE_BYTES
        sock.send(_HEADER.pack(size, _GET_ADDRESSES, _REQUEST_DUMP, 1, 0) + bytes(_MESSAGE_BYTES))
        while True:
            for kind, body in _messages(sock.recv(64 * 1024)):
                if kind == _DONE:
                    return frozenset(found)
                if kind == _ERROR:
                    raise OSError("the kernel does not list this machine's addresses")
                if kind == _NEW_ADDRESS:
                    found |= _addresses(body[_MESSAGE_BYTES:])


def _messages(data: bytes) -> list[tuple[int, bytes]]:
    messages = []
    while len(data) >= _HEADER.size:
        size, kind, *_ = _HEADER.unpack_from(data)
        messages.append((kind, data[_HEADER.size : size]))
        data = data[max(_aligned(size), _HEADER.size) :]
    return messages


def _addresses(attributes: bytes) -> set[Address]:
    found: set[Address] = set()
    while len(attributes) >= _ATTRIBUTE.size:
        size, kind = _ATTRIBUTE.unpack_from(attributes)
        value = attributes[_ATTRIBUTE.size : size]
        if kind in (_IFA_ADDRESS, _IFA_LOCAL) and len(value) in (4, 16):
            found.add(ip_address(value))
        attributes = attributes[max(_aligned(size), _ATTRIBUTE.size) :]
    return found


def _aligned(size: int) -> int:
    return (size + 3) & ~3
