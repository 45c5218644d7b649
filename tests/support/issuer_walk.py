"""Every route of the issuer, and every field that its source asks a request for."""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from starlette.applications import Starlette
from starlette.routing import Route

import gateway.auth.issuer

Part = Literal["path", "query", "header", "body"]
_PACKAGE = Path(gateway.auth.issuer.__file__).parent
_ASKED = {"body": "body", "query": "query", "query_params": "query", "headers": "header"}
# of the wire, tried in tests/hostile; and what answers have
_NOT_TEXT = {"content-length", "transfer-encoding", "link", "x-total-count"}
GRANTS = ("password", "refresh_token", "pkce")


@dataclass(frozen=True, slots=True)
class Asked:
    """A method of a route, asked in one of the ways that it knows."""

    method: str
    path: str
    parameters: tuple[str, ...]
    query: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        return " ".join([self.method, self.path, *(value for _, value in self.query)])


def routes_of(app: Starlette) -> Iterator[Asked]:
    """All of them, in order; the one for tokens once for each grant."""
    for route in app.routes:
        assert isinstance(route, Route), route
        for method in sorted((route.methods or set()) - {"HEAD"}):
            parameters = tuple(route.param_convertors)
            if route.path == "/token":
                for grant in GRANTS:
                    yield Asked(method, route.path, parameters, (("grant_type", grant),))
            else:
                yield Asked(method, route.path_format, parameters)


def fields() -> Mapping[Part, frozenset[str]]:
    """Names by where they are looked for: in calls such as `text_of(body, "email")`."""
    found: dict[Any, set[str]] = {"query": set(), "header": set(), "body": set()}
    for path in _PACKAGE.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(func=ast.Attribute(value=asked, attr="get"), args=[name, *_]):
                    _add(found, asked, name)
                case ast.Call(args=[ast.Name(id="request"), name, *_]):
                    _add(found, ast.Name("query"), name)
                case ast.Call(args=[asked, *names], keywords=keywords):
                    for name in (*names, *(keyword.value for keyword in keywords)):
                        _add(found, asked, name)
                case ast.Subscript(value=asked, slice=name):
                    _add(found, asked, name)
                case _:
                    pass
    return {part: frozenset(names - _NOT_TEXT) for part, names in found.items()}


def _add(found: dict[Any, set[str]], asked: ast.expr, name: ast.expr) -> None:
    if isinstance(asked, ast.Await):
        asked = ast.Name("body")  # as it is read
    where = asked.attr if isinstance(asked, ast.Attribute) else getattr(asked, "id", "")
    if where in _ASKED and isinstance(name, ast.Constant) and isinstance(name.value, str):
        found[_ASKED[where]].add(name.value)
