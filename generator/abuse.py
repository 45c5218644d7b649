"""Attempts at abuse for a contract, from a fixed library chosen by what its operations take. Pure.

Each starts from the operation's first good example and spoils one thing. What must not come of
it stands in `verdicts`.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from urllib.parse import quote, urlencode

from generator import abuse_values as values
from generator import schemas
from generator.abuse_values import Value
from generator.acceptance import Kept, body_of, request_of
from generator.calls import Request
from generator.contract import Contract, Example, Json, Location, Operation, Schema
from generator.examples import filled, filled_path, is_json, parameters_in

MOST = 240  # attempts for a whole contract
_FEWEST = 12  # for each of its operations
_METHODS = ("TRACE", "PATCH", "PUT", "DELETE", "POST", "GET")
_URLS = ("url", "uri", "link", "webhook", "callback", "href", "endpoint", "target", "image_url")
_EXPRESSIONS = ("regex", "regexp", "pattern", "expression", "match", "rule", "filter")


@dataclass(frozen=True, slots=True)
class Attempt:
    """One hostile call. `payload` is what must not come back as markup."""

    name: str
    operation: str
    request: Request
    payload: str = ""
    must_refuse: bool = False  # it breaks the contract, so no 2xx
    must_not_exist: bool = False  # a method that the path does not have
    reaches_out: bool = False  # it may answer that a host cannot be reached


def attempts(contract: Contract, kept: Kept) -> list[Attempt]:
    """All of them, in the same order each time; `kept` is what examples kept."""
    share = max(_FEWEST, MOST // len(contract.operations))
    found: list[Attempt] = []
    for operation in contract.operations:
        made = _Maker(contract, operation, kept)
        found += islice(made.all(), share)
    return found[: max(MOST, _FEWEST * len(contract.operations))]


class _Maker:
    def __init__(self, contract: Contract, operation: Operation, kept: Kept) -> None:
        self._contract = contract
        self._operation = operation
        good = [one for one in operation.examples if one.status == operation.status]
        self._example = (good or operation.examples)[0]
        self._base = request_of(operation, self._example, kept)
        self._body = filled(self._example.body, kept)
        self._kept = kept

    def all(self) -> Iterator[Attempt]:
        """The most telling ones first, because a large contract has only its share of them."""
        yield from self._methods()
        yield from self._secrets()
        yield from self._lacking()
        kinds = [self._paths(), self._texts(), self._body_texts(), self._bodies(), self._files()]
        while kinds:  # one of each kind in turn
            for kind in tuple(kinds):
                one = next(kind, None)
                if one is None:
                    kinds.remove(kind)
                else:
                    yield one

    def _attempt(self, name: str, request: Request, payload: str = "", **more: bool) -> Attempt:
        reaches_out = bool(self._contract.outbound_hosts)
        return Attempt(name, self._operation.id, request, payload, reaches_out=reaches_out, **more)

    def _methods(self) -> Iterator[Attempt]:
        taken = {
            one.method for one in self._contract.operations if one.path == self._operation.path
        }
        if min(taken, default="") != self._operation.method:
            return  # once for a path
        for method in [one for one in _METHODS if one not in taken][:2]:
            request = replace(self._base, method=method, body=None)
            yield self._attempt(f"method {method}", request, must_not_exist=True)

    def _secrets(self) -> Iterator[Attempt]:
        headers = (
            *self._base.headers,
            ("Authorization", f"Bearer {values.CANARY}"),
            ("Cookie", f"session={values.CANARY}"),
            ("X-Forwarded-For", "127.0.0.1"),
        )
        yield self._attempt("credentials of another", replace(self._base, headers=headers))

    def _lacking(self) -> Iterator[Attempt]:
        """Each required parameter and member left out."""
        for parameter in self._operation.parameters:
            if not parameter.required or parameter.location is Location.PATH:
                continue
            example = self._without(parameter.name, parameter.location)
            request = request_of(self._operation, example, self._kept)
            yield self._attempt(f"without {parameter.name}", request, must_refuse=True)
        schema = self._body_schema()
        for name in schema.get("required", []) if isinstance(self._body, dict) else []:
            body = {key: value for key, value in self._body.items() if key != name}
            if schemas.problem(body, schema):
                yield self._attempt(f"body without {name}", self._with(body), must_refuse=True)

    def _without(self, name: str, location: Location) -> Example:
        field = "query" if location is Location.QUERY else "headers"
        given: Mapping[str, str] = getattr(self._example, field)
        less = {key: value for key, value in given.items() if key.lower() != name.lower()}
        return self._example.model_copy(update={field: less})

    def _paths(self) -> Iterator[Attempt]:
        for name in parameters_in(self._operation.path):
            for one in (*values.ENCODED, *values.NUMBERS):
                yield self._attempt(f"path {name}: {one.attempt}", self._at(name, one.text))
            for one in values.TEXTS:
                request = self._at(name, quote(one.text, safe=""))
                yield self._attempt(f"path {name}: {one.attempt}", request, one.text)

    def _at(self, name: str, encoded: str) -> Request:
        """The same with one part of the path replaced, as it travels."""
        wanted = self._operation.path.split("/")
        given = filled_path(self._example.path, self._kept).split("/")
        parts = [
            encoded if segment == f"{{{name}}}" else text
            for segment, text in zip(wanted, given, strict=True)
        ]
        _, mark, query = self._base.target.partition("?")
        return replace(self._base, target="/".join(parts) + mark + query)

    def _texts(self) -> Iterator[Attempt]:
        for parameter in self._operation.parameters:
            if parameter.location is not Location.QUERY:
                continue
            for one in self._values(parameter.name, parameter.schema_):
                query = {**filled(self._example.query, self._kept), parameter.name: one.text}
                path = self._base.target.partition("?")[0]
                request = replace(self._base, target=f"{path}?{urlencode(query)}")
                yield self._attempt(f"query {parameter.name}: {one.attempt}", request, one.text)

    def _values(self, name: str, schema: Schema) -> Iterator[Value]:
        lowered = name.lower()
        if schema.get("format") in ("uri", "url") or lowered.endswith(_URLS):
            yield from values.URLS
        if lowered.endswith(_EXPRESSIONS):
            yield from values.EXPRESSIONS
        if {"integer", "number"} & {schema.get("type")}:
            yield from values.NUMBERS
        yield from values.TEXTS

    def _body_schema(self) -> Schema:
        body = self._operation.body
        return {} if body is None else schemas.inlined(body)

    def _body_texts(self) -> Iterator[Attempt]:
        if not isinstance(self._body, dict):
            if isinstance(self._body, str):
                for one in (*values.TEXTS, *values.TEXT_OF_BODY):
                    yield self._attempt(f"body: {one.attempt}", self._with(one.text), one.text)
            return
        members = self._body_schema().get("properties", {})
        for name in self._body:
            schema = members.get(name) if isinstance(members.get(name), dict) else {}
            yield from self._member(name, schema or {})

    def _member(self, name: str, schema: Schema) -> Iterator[Attempt]:
        if isinstance(self._body[name], str):
            for one in (*self._values(name, schema), *values.TEXT_OF_BODY):
                body = {**self._subject(one), name: one.text}
                label = f"body {name}: {one.attempt}"
                yield self._attempt(label, self._with(body), one.text)
        wrong: tuple[Json, ...] = (None, {"a": ["b"]}, [[1]], True, -1, 10**30, 1.5e308, "text")
        for value in wrong if is_json(self._operation.body_type) else ():
            body = {**self._body, name: value}
            label = f"body {name}: {json.dumps(value)[:20]} of another type"
            yield self._attempt(label, self._with(body))

    def _subject(self, one: Value) -> dict[str, Json]:
        """The body; with what an expression would run on when the value is one."""
        if one not in values.EXPRESSIONS:
            return dict(self._body)
        return {
            key: values.SLOW_SUBJECT if isinstance(value, str) else value
            for key, value in self._body.items()
        }

    def _bodies(self) -> Iterator[Attempt]:
        if self._operation.body is None:
            return
        if is_json(self._operation.body_type):
            for one in values.BODIES:
                request = replace(self._base, body=one.text.encode())
                yield self._attempt(f"body: {one.attempt}", request)
        empty = replace(self._base, body=b"")
        yield self._attempt("body: nothing", empty)
        yield self._attempt("body: no text", replace(self._base, body=b"\xff\xfe\x00{"))
        for media_type in ("text/plain", "application/xml", "multipart/form-data"):
            request = replace(self._base, headers=_typed(self._base.headers, media_type))
            yield self._attempt(f"body of type {media_type}", request)

    def _files(self) -> Iterator[Attempt]:
        if not self._operation.body_type.startswith("multipart/") or not isinstance(
            self._body, dict
        ):
            return
        for name, value in self._body.items():
            for one in values.FILES if isinstance(value, dict) else ():
                body = {**self._body, name: {**value, "filename": one.text}}
                yield self._attempt(f"file {name}: {one.attempt}", self._with(body), one.text)
            if isinstance(value, dict):
                junk = {"filename": "a", "content_type": "image/png", "text": "\x00PNG junk"}
                request = self._with({**self._body, name: junk})
                yield self._attempt(f"file {name}: junk", request)

    def _with(self, body: Json) -> Request:
        content, media_type = body_of(self._operation.body_type, body)
        headers = _typed(self._base.headers, media_type)
        return replace(self._base, headers=headers, body=content)


def _typed(headers: tuple[tuple[str, str], ...], media_type: str) -> tuple[tuple[str, str], ...]:
    others = [pair for pair in headers if pair[0].lower() != "content-type"]
    return (*others, ("Content-Type", media_type))
