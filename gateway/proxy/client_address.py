"""Whose call it is when proxies stand in front of us. Pure.

Nothing a caller writes is believed: `X-Forwarded-For` and `Forwarded` count only when the peer
is one of the trusted proxies, and of their entries only those that trusted proxies have added,
read from the right. A proxy in front must set one of the two on every request. When both are
there they must agree, since a proxy that writes one of them passes on whatever its client has
written into the other. What cannot be read is nobody's address: `unknown`, which is in no
key's list.
"""

import re
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address

from gateway.auth.restriction import Network, network

Address = IPv4Address | IPv6Address

UNKNOWN = "unknown"
MAX_HOPS = 32
_MAX_CHARACTERS = 4096
_IPV4_AND_PORT = re.compile(r"([0-9.]+)(?::[0-9]{1,5})?")
_IPV6_AND_PORT = re.compile(r"\[([0-9A-Fa-f:.]+)\](?::[0-9]{1,5})?")
_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_PAIR = re.compile(rf'\s*({_WORD})=({_WORD}|"[^"\\]*")\s*')


class ClientAddresses:
    """The caller's address behind these proxies; behind none, the peer's."""

    def __init__(self, proxies: Iterable[Network] = ()) -> None:
        self._proxies = tuple(proxies)

    @classmethod
    def from_text(cls, text: str) -> "ClientAddresses":
        """From networks separated by commas; ValueError for anything else."""
        return cls(network(part.strip()) for part in text.split(",") if part.strip())

    def trusts(self, peer: str) -> bool:
        """Whether this peer is one of the proxies."""
        return bool(self._proxies) and self._is_trusted(_address(peer))

    def of(self, peer: str, headers: Iterable[tuple[bytes, bytes]]) -> str:
        """The address of whoever made this request, names of headers in lower case."""
        if not self._proxies or not self._is_trusted(_address(peer)):
            return peer
        listed, elements = [], []
        for name, value in headers:
            if name == b"x-forwarded-for":
                listed.append(value)
            elif name == b"forwarded":
                elements.append(value)
        said = [
            self._first_stranger(peer, hops)
            for values, hops in (
                (listed, _listed_hops(listed)),
                (elements, _forwarded_hops(elements)),
            )
            if values
        ]
        if not said:
            return peer  # the proxy itself asks
        return said[0] if len(set(said)) == 1 else UNKNOWN

    def _first_stranger(self, peer: str, hops: Sequence[Address | None]) -> str:
        """The nearest hop that is no proxy of ours; the farthest one when all are."""
        last: Address | None = _address(peer)
        for hop in reversed(hops[-MAX_HOPS:]):
            if hop is None:
                return UNKNOWN
            if not self._is_trusted(hop):
                return str(hop)
            last = hop
        return str(last) if len(hops) <= MAX_HOPS else UNKNOWN

    def _is_trusted(self, address: Address | None) -> bool:
        return address is not None and any(address in each for each in self._proxies)


def _listed_hops(values: Sequence[bytes]) -> list[Address | None]:
    """The entries of all `X-Forwarded-For` headers, from the left."""
    return [_address(part) for part in _text(values).split(",")]


def _forwarded_hops(values: Sequence[bytes]) -> list[Address | None]:
    """The `for` of all elements of `Forwarded` headers, from the left.

    Every comma ends an element, a quoted one too: a quote that the caller has left open must
    not swallow what our proxy has added. No address has a comma.
    """
    return [_for(element) for element in _text(values).split(",")]


def _for(element: str) -> Address | None:
    """Whom one element of `Forwarded` names; None when it names nobody or cannot be read."""
    found: Address | None = None
    for pair in element.split(";"):
        parsed = _PAIR.fullmatch(pair)
        if parsed is None:
            return None
        if parsed[1].lower() == "for":
            if found is not None:
                return None
            found = _address(parsed[2].strip('"'))
            if found is None:
                return None
    return found


def _text(values: Sequence[bytes]) -> str:
    """Header lines as one list; only the end counts, which is what our proxies have written."""
    return b",".join(values)[-_MAX_CHARACTERS:].decode("latin-1")


def _address(text: str) -> Address | None:
    """An address with or without a port, IPv4 in IPv6 clothes undressed."""
    plain = text.strip(" \t")
    matched = _IPV4_AND_PORT.fullmatch(plain) or _IPV6_AND_PORT.fullmatch(plain)
    try:
        found = ip_address(matched[1] if matched else plain)
    except ValueError:
        return None
    if isinstance(found, IPv6Address):
        if found.scope_id is not None:
            return None
        return found.ipv4_mapped or found
    return found
