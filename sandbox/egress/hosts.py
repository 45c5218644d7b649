"""A host as a request names it, in one normal form. Pure."""

import re
from dataclasses import dataclass

import idna

from sandbox.egress import addresses
from sandbox.egress.addresses import Address

_LONGEST = 253
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_AUTHORITY = re.compile(r"(\[[^\]\[]*\]|[^:\[\]]*)(?::([0-9]{1,5}))?")
_FORBIDDEN = re.compile(r"[\s\x00-\x1f\x7f@/\\?#<>^|`{}\"']")


class BadHostError(Exception):
    """The text is no host, or a host written so that programs may disagree about it."""


@dataclass(frozen=True, slots=True)
class Host:
    """A name in lower case ASCII without the last dot, or an address."""

    name: str
    address: Address | None = None

    def __str__(self) -> str:
        return self.name


def normalise(text: str) -> Host:
    """The host in its normal form; an address in any spelling becomes the address."""
    if not text or len(text) > 4 * _LONGEST or _FORBIDDEN.search(text):
        raise BadHostError("not a host name")
    if addresses.looks_numeric(text):
        address = addresses.parse(text)
        if address is None:
            raise BadHostError("neither a name nor an address")
        return Host(str(address), address)
    return Host(_name(text))


def _name(text: str) -> str:
    if not text.isascii():
        try:
            text = idna.encode(text, uts46=True, std3_rules=True).decode("ascii")
        except (idna.IDNAError, UnicodeError) as error:
            raise BadHostError("not an international name") from error
        if addresses.looks_numeric(text):
            raise BadHostError("neither a name nor an address")
    name = text.lower().removesuffix(".")
    if len(name) > _LONGEST or not all(_LABEL.fullmatch(label) for label in name.split(".")):
        raise BadHostError("not a host name")
    return name


def split(authority: str, default_port: int | None = None) -> tuple[Host, int]:
    """`host:port` or `[v6]:port`; no user in front, no second reading."""
    host, port = split_optional(authority)
    if port is None:
        port = default_port
    if port is None:
        raise BadHostError("no port")
    return host, port


def split_optional(authority: str) -> tuple[Host, int | None]:
    """The same where the port may be missing."""
    found = _AUTHORITY.fullmatch(authority)
    if found is None:
        raise BadHostError("not host:port")
    port = int(found[2]) if found[2] else None
    if port is not None and not 0 < port < 65536:
        raise BadHostError("no such port")
    return normalise(found[1]), port
