"""What a key is narrowed to: methods, paths and addresses. Pure; compiled once per key.

A path pattern is exact, like `/items`, or everything below a prefix, like `/items/*` (which
is not `/items` itself). It is compared with the raw path inside the API, byte for byte, and
nothing is normalised before. What two readers could take for two different paths is outside
of every pattern: dot segments, empty segments, backslashes, control characters, encoded
slashes and dots however often they are encoded, and what is not UTF-8.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any
from urllib.parse import unquote_to_bytes

from gateway.errors import ForbiddenError, SandgateError

Network = IPv4Network | IPv6Network

_ROUNDS = 4  # of percent-encoding that are looked through
_UNPRINTABLE = re.compile(rb"[^\x21-\x7e]")
_TWO_READINGS = re.compile(rb"//|/\.{1,2}(?:[;/]|\Z)|\\|[\x00-\x1f\x7f]")
_WRITTEN = re.compile(r"/[A-Za-z0-9._~!$&'()+,;=:@%/-]*")
_MAPPED = IPv6Network("::ffff:0:0/96")
_PATTERN_CHARACTERS = 256


class KeyScopeError(ForbiddenError):
    """The key is good; this method or path is not in its scopes."""

    code, title = "key_scope", "The scopes of this key do not include this call"


class KeyAddressError(ForbiddenError):
    """The key is good; it may not be used from there."""

    code, title = "key_address", "This key may not be used from this address"


@dataclass(frozen=True, slots=True)
class Restriction:
    """None in a part means that nothing is narrowed there."""

    methods: frozenset[str] | None = None
    exact: frozenset[bytes] = frozenset()
    prefixes: tuple[bytes, ...] | None = None  # None: every path
    networks: tuple[Network, ...] | None = None

    @classmethod
    def of(cls, scopes: Mapping[str, Any], addresses: Sequence[str]) -> "Restriction | None":
        """From what is stored; None when it narrows nothing. ValueError when it makes no sense."""
        if not scopes and not addresses:
            return None
        if not scopes.keys() <= {"methods", "paths"}:
            raise ValueError("unknown kind of scope")
        paths = scopes.get("paths")
        return cls(
            methods=_methods(scopes["methods"]) if "methods" in scopes else None,
            exact=frozenset(p.encode() for p in paths or () if not p.endswith("/*")),
            prefixes=None
            if paths is None
            else tuple(p[:-1].encode() for p in paths if p.endswith("/*")),
            networks=tuple(map(network, addresses)) if addresses else None,
        )

    def refusal(self, method: str, path: bytes, address: str) -> SandgateError | None:
        """Why this call is outside of it; None when it is inside."""
        if self.networks is not None and not self._has_address(address):
            return KeyAddressError(f"It was used from {address or 'unknown'}.")
        if self.methods is not None and method not in self.methods:
            return KeyScopeError(f"{method} is not among its methods.")
        if self.prefixes is not None and not self._has_path(path):
            return KeyScopeError("The path is not among its paths.")
        return None

    def _has_address(self, text: str) -> bool:
        try:
            address = ip_address(text)
        except ValueError:
            return False
        if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return any(address in each for each in self.networks or ())

    def _has_path(self, path: bytes) -> bool:
        if path not in self.exact and not path.startswith(self.prefixes or ()):
            return False
        return has_one_reading(path)


def has_one_reading(path: bytes) -> bool:
    """Whether every reader takes this raw path for the same one."""
    if _UNPRINTABLE.search(path):
        return False
    for _ in range(_ROUNDS):
        if _TWO_READINGS.search(path):
            return False
        if b"%" not in path:
            return True
        decoded = unquote_to_bytes(path)
        if decoded == path:
            return True
        if any(decoded.count(sign) != path.count(sign) for sign in (b"/", b".")):
            return False
        try:
            decoded.decode()
        except UnicodeDecodeError:
            return False
        path = decoded
    return False


def is_pattern(path: str) -> bool:
    """Whether this may be a path of a scope."""
    base = path[:-1] if path.endswith("/*") else path
    return (
        len(path) <= _PATTERN_CHARACTERS
        and _WRITTEN.fullmatch(base) is not None
        and has_one_reading(base.encode())
    )


def network(text: str) -> Network:
    """An address or a network in its plain form; ValueError for anything else.

    Networks of IPv4 addresses in IPv6 clothes are the IPv4 networks that they mean.
    """
    found = ip_network(text)
    if isinstance(found, IPv6Network) and found.subnet_of(_MAPPED):
        low = found.network_address.ipv4_mapped
        return ip_network(f"{low}/{found.prefixlen - 96}")
    return found


def _methods(named: Iterable[str]) -> frozenset[str]:
    """HEAD asks for no more than GET."""
    methods = frozenset(named)
    return methods | {"HEAD"} if "GET" in methods else methods
