"""Calls are refused only where they certainly do not fit what the API says of itself."""

import asyncio
import json
from typing import Annotated, Any, Literal

import pytest
from fastapi import Cookie, FastAPI, Header, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from gateway.errors import SandgateError
from gateway.proxy.headers import Field as HeaderField
from gateway.proxy.schema import BudgetError, Checker, Patterns
from gateway.proxy.validation import MOST_BODY, Validator, Validators
from gateway.store.documents import StoredDocument

app = FastAPI()


class Cat(BaseModel):
    """A body."""

    model_config = ConfigDict(extra="forbid")
    name: str = Field(min_length=1, max_length=10, pattern="^[a-z]+$")
    age: int = Field(ge=0, le=40)
    kind: Literal["house", "wild"] = "house"
    friends: list["Cat"] = Field(default_factory=list, max_length=3)
    note: str | None = None


@app.post("/cats/{n}")
def add(
    n: Annotated[int, Path(ge=1)],
    cat: Cat,
    limit: Annotated[int, Query(le=100)],
    tag: Annotated[list[int], Query()] = [],  # noqa: B006
    loud: bool = False,
    x_reason: Annotated[str | None, Header(min_length=3)] = None,
    seen: Annotated[int | None, Cookie()] = None,
) -> None:
    """One operation with everything."""


@app.get("/cats/special")
def special() -> None:
    """A path that another one's template fits too."""


JSON: HeaderField = (b"content-type", b"application/json")
GOOD = {"name": "tom", "age": 3}
VALIDATOR = Validator(app.openapi())


def check(
    body: Any = GOOD,
    *,
    path: bytes = b"/cats/1",
    query: bytes = b"limit=5",
    headers: tuple[HeaderField, ...] = (JSON,),
    method: str = "POST",
) -> SandgateError | None:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return VALIDATOR.check(method, path, query, headers, data, seconds=5)


def wrong(**call: Any) -> list[tuple[str, str]]:
    error = check(**call)
    assert error is not None
    assert (error.status, error.code) == (422, "request_invalid")
    errors: Any = error.extra["errors"]
    return [(one["field"], one["detail"]) for one in errors]


def test_a_call_that_fits_passes() -> None:
    friends = [{"name": "a", "age": 0}]
    assert check(GOOD | {"kind": "wild", "friends": friends, "note": None}) is None


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"name": ""}, ("body.name", "is shorter than 1 characters")),
        ({"name": "x" * 11}, ("body.name", "is longer than 10 characters")),
        ({"name": "X"}, ("body.name", "does not have the form that is asked for")),
        ({"name": 5}, ("body.name", "is not of type string")),
        ({"age": "old"}, ("body.age", "is not of type integer")),
        ({"age": 1.5}, ("body.age", "is not of type integer")),
        ({"age": 41}, ("body.age", "is more than 40")),
        ({"kind": "tame"}, ("body.kind", "is not one of the values that are allowed")),
        ({"friends": [{"name": "a"}]}, ("body.friends.0.age", "is missing")),
        ({"friends": [GOOD] * 4}, ("body.friends", "has more than 3 items")),
        ({"note": 5}, ("body.note", "is not of type string")),
        ({"more": 1}, ("body.more", "may not be there")),
    ],
)
def test_a_body_that_does_not_fit_is_refused_place_by_place(
    change: dict[str, Any], error: tuple[str, str]
) -> None:
    assert error in wrong(body=GOOD | change)


@pytest.mark.parametrize(
    ("call", "error"),
    [
        ({"query": b""}, ("query.limit", "is missing")),
        ({"query": b"limit=101"}, ("query.limit", "is more than 100")),
        ({"query": b"limit=x"}, ("query.limit", "is not of type integer")),
        ({"query": b"limit=1&tag=1&tag=x"}, ("query.tag.1", "is not of type integer")),
        ({"query": b"limit=1&loud=maybe"}, ("query.loud", "is not of type boolean")),
        ({"path": b"/cats/0"}, ("path.n", "is less than 1")),
        ({"path": b"/cats/%30"}, ("path.n", "is less than 1")),
        ({"path": b"/cats/tom"}, ("path.n", "is not of type integer")),
        ({"headers": (JSON, (b"x-reason", b"no"))}, ("header.x-reason", "is shorter than 3")),
        ({"headers": (JSON, (b"cookie", b"a=b; seen=x"))}, ("cookie.seen", "is not of type")),
        ({"body": b"{"}, ("body", "is not JSON")),
        ({"body": b""}, ("body", "is missing")),
    ],
)
def test_parameters_are_read_as_fastapi_reads_them(
    call: dict[str, Any], error: tuple[str, str]
) -> None:
    (field, detail), *_ = wrong(**call)
    assert (field, detail.startswith(error[1])) == (error[0], True)


@pytest.mark.parametrize(
    "call",
    [
        {"path": b"/dogs/1"},
        {"path": b"/cats/1/"},
        {"method": "PUT", "body": {}},
        {"headers": ((b"content-type", b"text/plain"),), "body": b"no cat"},
        {"query": b"limit=5&limit=x&unknown=1"},
        {"query": b"limit=x&limit=5"},
        {"query": b"limit=+5%20&loud=YES&tag=1&tag=2"},
        {"method": "GET", "path": b"/cats/special", "body": b""},
    ],
)
def test_what_is_not_certainly_wrong_passes(call: dict[str, Any]) -> None:
    assert check(**call) is None


def test_readers_of_a_path_are_all_asked() -> None:
    paths: Any = {
        "/a/{n}": {"get": {"parameters": [parameter("n", "path", {"type": "integer"})]}},
        "/a/b": {"get": {}},
    }
    validator = Validator({"paths": paths})
    assert validator.check("GET", b"/a/b", b"", (), None) is None
    assert validator.check("GET", b"/a/c", b"", (), None) is not None


def parameter(name: str, place: str, schema: Any, **more: Any) -> dict[str, Any]:
    return {"name": name, "in": place, "required": True, "schema": schema} | more


@pytest.mark.parametrize("more", [{"style": "deepObject"}, {"explode": False}, {"content": {}}])
def test_parameters_written_in_other_ways_are_the_apps(more: dict[str, Any]) -> None:
    one = parameter("a", "query", {"type": "integer"}, **more)
    validator = Validator({"paths": {"/": {"get": {"parameters": [one]}}}})
    assert validator.check("GET", b"/", b"a=x", (), None) is None


# --- one of many


class Store:
    """One document for all versions."""

    def __init__(self, document: Any, note: str | None = None) -> None:
        self._stored = StoredDocument(document, note)

    async def of(self, version_id: str) -> StoredDocument:
        return self._stored


async def through(document: Any, body: bytes | None, path: bytes = b"/cats/1") -> Any:
    validators = Validators(Store(document))
    try:
        answer = await validators.check("v", "POST", path, b"limit=1", (JSON,), body)
        return answer, validators.skipped
    finally:
        validators.close()


async def test_small_and_large_bodies_are_checked_and_giants_are_not() -> None:
    document = app.openapi()
    padding = b" " * 20_000
    assert (await through(document, b'{"age": 1}'))[0] is not None
    assert (await through(document, b'{"age": 1}' + padding))[0] is not None
    assert (await through(document, b'{"age": 1}' + b" " * MOST_BODY))[0] is None
    assert (await through(document, json.dumps(GOOD).encode() + padding)) == (None, 0)


async def test_a_version_without_a_document_is_not_checked() -> None:
    assert await through(None, b"{}") == (None, 0)


def body_of(schema: Any, schemas: Any = None) -> dict[str, Any]:
    content = {"application/json": {"schema": schema}}
    operation = {"requestBody": {"content": content}}
    return {"paths": {"/": {"post": operation}}, "components": {"schemas": schemas or {}}}


BOMB = {
    f"A{n}": {"anyOf": [{"$ref": f"#/components/schemas/A{n + 1}"}] * 10} for n in range(40)
} | {"A40": {"type": "string"}}
SELF = {"$ref": "#/components/schemas/A"}
LONG_ENUM = {"enum": [[n] * 20 for n in range(2000)]}
HOSTILE = {
    "anyOf in anyOf": (body_of({"$ref": "#/components/schemas/A0"}, BOMB), 1),
    "a circle": (body_of(SELF, {"A": SELF}), 1),
    "itself in allOf": (body_of(SELF, {"A": {"allOf": [SELF] * 2}}), 1),
    "a pattern for backtracking": (body_of({"pattern": "^(a+)+$"}), "a" * 20_000 + "!"),
    "a giant pattern": (body_of({"pattern": "((a{0,100}){0,100}){0,100}"}), "a" * 10_000),
    "a slow pattern": (body_of({"pattern": "(x+x+)+y" * 20}), "x" * 200_000),
    "patterns for names": (
        body_of({"patternProperties": {f"(a|b){n}*$": {"type": "integer"} for n in range(500)}}),
        {f"name{n}": "x" for n in range(2000)},
    ),
    "many fields": (
        body_of({"items": {"properties": {f"f{n}": {"type": "string"} for n in range(5000)}}}),
        [{"f1": "x"}] * 10_000,
    ),
    "a long enum": (body_of({"items": LONG_ENUM}), [[1999] * 20] * 2000),
    "a deep value": (
        body_of(
            {"$ref": "#/components/schemas/A"}, {"A": {"items": {"$ref": "#/components/schemas/A"}}}
        ),
        json.loads("[" * 500 + "]" * 500),
    ),
    "much that is missing": (
        body_of({"items": {"required": [f"f{n}" for n in range(5000)]}}),
        [{}] * 10_000,
    ),
    "no schema at all": (body_of({"type": 5, "enum": "x", "minimum": "y", "items": [1]}), [1]),
}


@pytest.mark.parametrize(("document", "value"), HOSTILE.values(), ids=HOSTILE)
async def test_a_hostile_document_lets_calls_pass_instead_of_holding_them(
    document: Any, value: Any
) -> None:
    answer, skipped = await through(document, json.dumps(value).encode(), b"/")
    assert answer is None or answer.code == "request_invalid"
    assert skipped in (0, 1)


def test_a_budget_ends_a_check() -> None:
    document, value = HOSTILE["anyOf in anyOf"]
    checker = Checker(document, Patterns(), steps=1000, until=1e18)
    schema = document["paths"]["/"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    with pytest.raises(BudgetError):
        list(checker.errors(schema, value, "body"))
    late = Checker(document, Patterns(), steps=10**9, until=5.0, clock=lambda: 6.0)
    with pytest.raises(BudgetError):
        list(late.errors(schema, value, "body"))


async def test_many_slow_checks_at_once_do_not_wait_for_each_other_forever() -> None:
    document, value = HOSTILE["anyOf in anyOf"]
    validators = Validators(Store(document))
    body = json.dumps(value).encode()
    calls = (validators.check("v", "POST", b"/", b"", (JSON,), body) for _ in range(60))
    assert await asyncio.gather(*calls) == [None] * 60
    assert validators.skipped == 60
    validators.close()
