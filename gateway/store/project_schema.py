"""Which of our migrations a project does not have; over HTTP only their traces can be seen."""

import re
from collections.abc import Iterable

from gateway.store.migrate import Migration

_CREATED = re.compile(
    r"create\s+(?:table\s+(?:if\s+not\s+exists\s+)?public\.(\w+)"
    r"|(?:or\s+replace\s+)?function\s+public\.(\w+)\s*\((?:[^;]*?)\)\s*returns\s+(?!trigger\b))",
    re.IGNORECASE,
)
_DROPPED = re.compile(
    r"drop\s+(?:table|function)\s+(?:if\s+exists\s+)?public\.(\w+)", re.IGNORECASE
)


def missing(migrations: Iterable[Migration], paths: Iterable[str]) -> list[str]:
    """Those that left no trace among what PostgREST offers: `/table`, `/rpc/function`.

    One that makes nothing new, or only what a later one drops, cannot be told.
    """
    ordered, offered = list(migrations), set(paths)
    dropped = {name for each in ordered for name in _DROPPED.findall(each.sql)}
    found = []
    for each in ordered:
        made = {table or function for table, function in _CREATED.findall(each.sql)} - dropped
        traces = {f"/{name}" for name in made} | {f"/rpc/{name}" for name in made}
        if made and not traces & offered:
            found.append(f"{each.version}_{each.name}")
    return found
