"""Which addresses nobody may reach from a sandbox, and every way to write an address. Pure."""

import unicodedata
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
)

Address = IPv4Address | IPv6Address

# The IANA special-purpose registry, and what clouds answer on besides.
_REFUSED_V4: tuple[tuple[IPv4Network, str], ...] = tuple(
    (IPv4Network(network), why)
    for network, why in (
        ("0.0.0.0/8", "this network"),
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "carrier-grade NAT"),
        ("127.0.0.0/8", "loopback"),
        ("168.63.129.16/32", "cloud metadata"),
        ("169.254.0.0/16", "link-local and cloud metadata"),
        ("172.16.0.0/12", "private"),
        ("192.0.0.0/24", "protocol assignments"),
        ("192.0.2.0/24", "documentation"),
        ("192.31.196.0/24", "AS112"),
        ("192.52.193.0/24", "multicast tunnelling"),
        ("192.88.99.0/24", "6to4 relay"),
        ("192.168.0.0/16", "private"),
        ("192.175.48.0/24", "AS112"),
        ("198.18.0.0/15", "benchmarking"),
        ("198.51.100.0/24", "documentation"),
        ("203.0.113.0/24", "documentation"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved and broadcast"),
    )
)
_NAT64 = IPv6Network("64:ff9b::/96")
_GLOBAL_V6 = IPv6Network("2000::/3")
# Forms that only carry an IPv4 address are refused whole: who means it can write it in IPv4.
_REFUSED_V6: tuple[tuple[IPv6Network, str], ...] = tuple(
    (IPv6Network(network), why)
    for network, why in (
        ("::/128", "unspecified"),
        ("::1/128", "loopback"),
        ("::ffff:0:0/96", "IPv4-mapped"),
        ("::ffff:0:0:0/96", "IPv4-translated"),
        ("::/96", "IPv4-compatible"),
        ("64:ff9b:1::/48", "local NAT64"),
        ("100::/64", "discard"),
        ("100:0:0:1::/64", "dummy prefix"),
        ("2001::/23", "protocol assignments and Teredo"),
        ("2001:db8::/32", "documentation"),
        ("2002::/16", "6to4"),
        ("2620:4f:8000::/48", "AS112"),
        ("3fff::/20", "documentation"),
        ("5f00::/16", "segment routing"),
        ("fc00::/7", "private"),
        ("fe80::/10", "link-local"),
        ("fec0::/10", "site-local"),
        ("ff00::/8", "multicast"),
    )
)
_ISATAP = (0x00005EFE, 0x02005EFE)  # the upper half of such an interface identifier


def refusal(address: Address) -> str | None:
    """Why nobody may connect there, or None for an ordinary public address."""
    if isinstance(address, IPv4Address):
        return _listed_v4(address)
    value = int(address)
    if address in _NAT64:
        return _listed_v4(IPv4Address(value & 0xFFFFFFFF))
    for network, why in _REFUSED_V6:
        if address in network:
            return why
    if address not in _GLOBAL_V6:
        return "not global unicast"
    if value >> 32 & 0xFFFFFFFF in _ISATAP:
        return "ISATAP"
    return None


def _listed_v4(address: IPv4Address) -> str | None:
    return next((why for network, why in _REFUSED_V4 if address in network), None)


def plain(text: str) -> str:
    """Compatibility characters such as full-width digits and other dots as their plain ones."""
    return unicodedata.normalize("NFKC", text).replace("。", ".").lower()


def looks_numeric(text: str) -> bool:
    """Whether some program would take this for an address: its last part is a number."""
    last = plain(text).rstrip(".").rpartition(".")[2]
    return ":" in text or last.isdigit() or _number(last) is not None


def parse(text: str) -> Address | None:
    """The address in any spelling that some program accepts, or None when it is none.

    Brackets, zone ids, a trailing dot, full-width digits; decimal, octal, hexadecimal and
    short forms of IPv4.
    """
    text = plain(text)
    if text.startswith("[") and text.endswith("]"):
        text = text[1:-1]
    if ":" in text:
        try:
            # the zone only says which interface; it must not hide the address
            return ip_address(text.partition("%")[0])
        except ValueError:
            return None
    return _parse_v4(text.removesuffix("."))


def _parse_v4(text: str) -> IPv4Address | None:
    """As inet_aton reads it: one to four numbers, the last one fills what is left."""
    parts = text.split(".")
    numbers = [_number(part) for part in parts]
    if not 1 <= len(parts) <= 4 or any(number is None for number in numbers):
        return None
    *first, last = (number for number in numbers if number is not None)
    if any(number > 255 for number in first) or last >= 256 ** (4 - len(first)):
        return None
    value = last
    for position, number in enumerate(first):
        value += number << 8 * (3 - position)
    return IPv4Address(value)


def _number(text: str) -> int | None:
    """A C number: 0x for hexadecimal, a leading 0 for octal. Bounded, as int() is not."""
    if len(text) > 32:
        return None
    digits, base = text, 10
    if text.startswith("0x"):
        digits, base = text[2:] or "0", 16
    elif len(text) > 1 and text.startswith("0"):
        digits, base = text[1:], 8
    if not digits or set(digits) - set("0123456789abcdef"[:base]):
        return None
    return int(digits, base)
