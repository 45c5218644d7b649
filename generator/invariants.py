"""Compares a repair with what it repairs: a guard that disappeared is a finding.

A gate that is passed by taking a check away is passed for the wrong reason.
"""

from collections import Counter
from collections.abc import Iterator

from generator.guards import Guard, Kind, routes_of
from generator.scan.reading import normal, parsed
from generator.scan.subject import plain
from generator.types import Finding, Gate, Severity

_NAMES = {
    Kind.VALIDATOR: "a validator",
    Kind.BOUND: "a bound on input",
    Kind.DEPENDENCY: "a dependency",
    Kind.LIMIT: "a limit on size",
    Kind.HANDLER: "a handler of errors",
    Kind.ESCAPE: "escaping or a safe comparison",
    Kind.PARAMETERS: "parameters of a statement",
    Kind.ALLOW_LIST: "a check against a list",
    Kind.REFUSAL: "an answer that refuses",
    Kind.TIMEOUT: "a timeout",
}
# fewer of these, but still some, is what becomes of tidying up
_MAY_SHRINK = frozenset(
    {Kind.HANDLER, Kind.LIMIT, Kind.ALLOW_LIST, Kind.REFUSAL, Kind.ESCAPE, Kind.TIMEOUT}
)
RULES = {
    f"{kind}_dropped": f"{name[:1].upper()}{name[1:]} that a route had is gone"
    + ("; a warning while it has another." if kind in _MAY_SHRINK else ".")
    for kind, name in _NAMES.items()
}


def compare(before_body: str, after_body: str) -> tuple[Finding, ...]:
    """What each route that is in both has lost. Code that does not parse has nothing to lose."""
    before, after = parsed(normal(before_body)), parsed(normal(after_body))
    if isinstance(before, Finding) or isinstance(after, Finding):
        return ()
    old, new = routes_of(before), routes_of(after)
    return tuple(
        finding
        for route, guards in old.guards.items()
        if route in new.guards
        for finding in _lost(route, guards, new.guards[route], new.lines[route])
    )


def _lost(
    route: str, before: Counter[Guard], after: Counter[Guard], line: int
) -> Iterator[Finding]:
    for (kind, what), count in sorted(before.items()):
        left = after[kind, what]
        if left >= count:
            continue
        name = f"{_NAMES[kind]} ({what})" if what else _NAMES[kind]
        message = plain(f"{route} had {name} {count} times, now {left}; put it back")
        severity = Severity.WARNING if left and kind in _MAY_SHRINK else Severity.ERROR
        yield Finding(Gate.INVARIANTS, f"{kind}_dropped", message, severity, line)
