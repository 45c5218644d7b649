"""Finds the operations of a document that a method and a path may mean. Pure."""

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple
from urllib.parse import unquote

from gateway.proxy.openapi import Operation

_PARAMETER = re.compile(r"\{([^{}/]{1,100})\}")
_MOST_MATCHES = 8
_MOST_SEGMENTS = 64


class Match(NamedTuple):
    """An operation, and what its path's parameters are."""

    operation: Operation
    values: dict[str, str]


class _Template(NamedTuple):
    operation: Operation
    segments: tuple[str | None, ...]  # None: a whole segment is a parameter
    names: tuple[str, ...]  # by segment, "" where there is none


class Paths:
    """Compiled once per document; a path with a parameter in a part of a segment is left out."""

    def __init__(self, operations: Iterable[Operation]) -> None:
        self._templates: dict[tuple[str, int], list[_Template]] = {}
        for operation in operations:
            segments = operation.path.split("/")
            if len(segments) > _MOST_SEGMENTS:
                continue
            names = tuple(_name_of(segment) for segment in segments)
            if None in names:
                continue
            fixed = tuple(
                None if name else text for name, text in zip(names, segments, strict=True)
            )
            key = (operation.method, len(segments))
            template = _Template(operation, fixed, tuple(name or "" for name in names))
            self._templates.setdefault(key, []).append(template)

    def matches(self, method: str, raw_path: bytes) -> list[Match]:
        """In the order of the document; none when the path is not in it."""
        # decoded before it is cut, as servers of ASGI do it
        segments = unquote(raw_path.decode("latin-1"), "utf-8", "replace").split("/")
        found = self._found(self._templates.get((method, len(segments)), ()), segments)
        return [match for match, _ in zip(found, range(_MOST_MATCHES), strict=False)]

    def _found(self, templates: Iterable[_Template], segments: list[str]) -> Iterator[Match]:
        for operation, fixed, names in templates:
            if all(
                (bool(given) if text is None else text == given)
                for text, given in zip(fixed, segments, strict=True)
            ):
                values = {n: given for n, given in zip(names, segments, strict=True) if n}
                yield Match(operation, values)


def _name_of(segment: str) -> str | None:
    """The parameter that a segment is, empty when it is plain text, None when it is both."""
    if "{" not in segment and "}" not in segment:
        return ""
    whole = _PARAMETER.fullmatch(segment)
    return whole.group(1) if whole else None
