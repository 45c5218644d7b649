"""What a policy says about one host and port. Pure, and closed unless something opens it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

from sandbox.egress.hosts import BadHostError, Host, normalise, split, split_optional
from sandbox.types import EgressPolicy, Placeholder

_WEB_PORTS = frozenset({80, 443})
# Names that never mean a host of the Internet (RFC 6761 and its registry), listed or not.
_LOCAL_NAMES = ("localhost", "local", "internal", "localdomain", "onion", "invalid", "arpa")


class Verdict(Enum):
    """What becomes of a connection."""

    ALLOWED = auto()
    TRUSTED = auto()  # the operator's own: its address is not looked at
    HOST = auto()  # this host is not listed
    PORT = auto()  # it is, for other ports
    LOCAL = auto()  # a name that only means something on a local network


@dataclass(frozen=True, slots=True)
class Rule:
    """One entry: a host, or every host below a domain, on some ports."""

    name: str
    is_domain: bool
    ports: frozenset[int]

    def names(self, host: Host) -> bool:
        """Whether the entry is about this host, whatever the port."""
        if self.is_domain:
            return host.address is None and host.name.endswith("." + self.name)
        return host.name == self.name


def parse_rule(entry: str) -> Rule:
    """`host`, `host:port`, `*.domain` or `*.domain:port`; raises BadHostError."""
    is_domain = entry.startswith("*.")
    text = entry[2:] if is_domain else entry
    if text.count(":") > 1 and not text.startswith("["):
        host, port = normalise(text), None  # an IPv6 address without a port
    else:
        host, port = split_optional(text)
    if is_domain and (host.address is not None or "." not in host.name):
        raise BadHostError("a star stands for hosts below a domain with at least two parts")
    return Rule(host.name, is_domain, _WEB_PORTS if port is None else frozenset({port}))


@dataclass(frozen=True, slots=True)
class Rules:
    """A policy, ready to be asked. `swaps` are placeholders and where they may go."""

    allowed: tuple[Rule, ...] = ()
    trusted: frozenset[tuple[str, int]] = frozenset()
    swaps: Mapping[bytes, tuple[bytes, tuple[Rule, ...]]] = field(default_factory=dict, repr=False)

    def decide(self, host: Host, port: int) -> Verdict:
        """The verdict about one connection, before anything is resolved."""
        if (host.name, port) in self.trusted:
            return Verdict.TRUSTED
        named = [rule for rule in self.allowed if rule.names(host)]
        if not named:
            return Verdict.HOST
        if not any(port in rule.ports for rule in named):
            return Verdict.PORT
        if host.address is None and host.name.rpartition(".")[2] in _LOCAL_NAMES:
            return Verdict.LOCAL
        return Verdict.ALLOWED

    def swaps_for(self, host: Host, port: int) -> dict[bytes, bytes]:
        """Placeholder and secret for each that this host may have."""
        return {
            text: value
            for text, (value, rules) in self.swaps.items()
            if any(rule.names(host) and port in rule.ports for rule in rules)
        }


NOTHING = Rules()


def from_json(detail: Mapping[str, Any]) -> Rules:
    """Rules of what the manager sends: an EgressPolicy, and `trusted` hosts of its own.

    Anything that cannot be read allows nothing.
    """
    if not detail:
        return NOTHING
    try:
        policy = EgressPolicy.from_json({"hosts": (), "placeholders": {}, **detail})
        trusted = [split(str(entry)) for entry in detail.get("trusted", ())]
        swaps = {
            text.encode(): _swap(one)
            for text, one in policy.placeholders.items()
            if text and one.value
        }
    except (KeyError, TypeError, ValueError, AttributeError, BadHostError):
        return NOTHING
    return Rules(
        allowed=_readable(policy.hosts),
        trusted=frozenset((host.name, port) for host, port in trusted),
        swaps=swaps,
    )


def _swap(one: Placeholder) -> tuple[bytes, tuple[Rule, ...]]:
    return one.value.encode(), _readable(one.hosts)


def _readable(entries: Iterable[str]) -> tuple[Rule, ...]:
    """An entry that cannot be read names no host."""
    rules = []
    for entry in entries:
        try:
            rules.append(parse_rule(entry))
        except BadHostError:
            continue
    return tuple(rules)
