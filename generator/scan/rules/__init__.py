"""The rules of the static gate, one a file. Each reads a tree; none runs anything."""

from generator.scan.rules import (
    blocking,
    calls,
    certificates,
    credentials,
    dunders,
    excepts,
    html,
    imports,
    loops,
    platform_names,
    prints,
    reads,
    regexes,
    routes,
    sizes,
    sql,
)

ALL = (
    sizes,
    imports,
    calls,
    dunders,
    platform_names,
    credentials,
    routes,
    blocking,
    reads,
    sql,
    html,
    certificates,
    regexes,
    excepts,
    loops,
    prints,
)
