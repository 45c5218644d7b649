"""Where an API may connect to: the hosts of its list, each in one normal form. Pure.

The door that lets connections out reads the same grammar; what it could not read, or would
refuse whatever the list says, is refused here, where somebody is told.
"""

import ipaddress
import re
from collections.abc import Mapping, Sequence
from typing import Any

import idna

from gateway.errors import InvalidInputError

MAX_HOSTS = 100
_MAX_CHARACTERS = 4 * 253
_MAX_NAME = 253
_PORTED = re.compile(r"(?P<host>\[[^\[\]]*\]|[^:\[\]]*)(?::(?P<port>[0-9]{1,5}))?")
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
# names that only mean something on a local network, or nothing at all
_LOCAL = frozenset({"localhost", "local", "internal", "localdomain", "onion", "invalid", "arpa"})
_TRANSLATED = ipaddress.IPv6Network("64:ff9b::/96")  # an IPv4 address in another coat

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class InvalidEgressError(InvalidInputError):
    """Not a list of hosts that an API could be allowed to reach."""

    code, title = "invalid_egress", "Invalid egress"


def checked_egress(asked: Mapping[str, Any]) -> dict[str, list[str]]:
    """The list in normal form. `Any`: JSON that nobody has looked at yet."""
    if set(asked) != {"hosts"}:
        raise InvalidEgressError("Egress has one member, hosts")
    return {"hosts": checked_hosts(asked["hosts"])}


def checked_hosts(asked: Sequence[str]) -> list[str]:
    """Each host once, in the order given."""
    if len(asked) > MAX_HOSTS:
        raise InvalidEgressError(f"At most {MAX_HOSTS} hosts are possible")
    return list(dict.fromkeys(checked_host(host) for host in asked))


def checked_host(text: str) -> str:
    """`host`, `host:port`, `*.domain` or `*.domain:port`; the host may be a public address."""
    is_domain = text.startswith("*.")
    found = _PORTED.fullmatch(text[2:] if is_domain else text)
    if found is None or len(text) > _MAX_CHARACTERS:
        raise _refused(text, "is neither a host nor host:port")
    host, port = found["host"], found["port"]
    if port is not None and not 0 < int(port) < 65536:
        raise _refused(text, "has a port that does not exist")
    suffix = "" if port is None else f":{int(port)}"
    if _looks_numeric(host):
        if is_domain:
            raise _refused(text, "has a star before an address")
        return _address(text, host) + suffix
    name = _name(text, host)
    if "." not in name:
        raise _refused(text, "has no domain; a star stands for hosts below one with two parts")
    if name.rpartition(".")[2] in _LOCAL:
        raise _refused(text, "is a name of local networks")
    return ("*." if is_domain else "") + name + suffix


def _name(text: str, host: str) -> str:
    if not host.isascii():
        try:
            host = idna.encode(host, uts46=True, std3_rules=True).decode("ascii")
        except (idna.IDNAError, UnicodeError) as error:
            raise _refused(text, "is no international name") from error
    name = host.lower().removesuffix(".")
    if len(name) > _MAX_NAME or not all(_LABEL.fullmatch(label) for label in name.split(".")):
        raise _refused(text, "is no host name")
    if _looks_numeric(name):
        raise _refused(text, "is neither a name nor an address")
    return name


def _looks_numeric(host: str) -> bool:
    """A program could read it as an address: brackets, or a number behind the last dot."""
    last = host.lower().removesuffix(".").rpartition(".")[2]
    return host.startswith("[") or _NUMBER.fullmatch(last) is not None


def _address(text: str, host: str) -> str:
    try:
        if host.startswith("["):
            six = ipaddress.IPv6Address(host[1:-1])
            address: Address = six
        else:
            address = ipaddress.IPv4Address(host)
    except ValueError as error:
        raise _refused(
            text, "is an address in a spelling that programs read differently"
        ) from error
    if not _is_public(address):
        raise _refused(text, "is not an address of the Internet")
    return f"[{address}]" if address.version == 6 else str(address)


def _is_public(address: Address) -> bool:
    if not address.is_global or address.is_multicast or address.is_reserved:
        return False
    if isinstance(address, ipaddress.IPv4Address):
        return True
    is_wrapped = address.ipv4_mapped or address.sixtofour or address.teredo
    return not is_wrapped and address not in _TRANSLATED and address.scope_id is None


def _refused(text: str, why: str) -> InvalidEgressError:
    shown = text if text.isprintable() and len(text) <= 100 else "A host"
    return InvalidEgressError(f"{shown} {why}")
