"""What FastAPI, or the book, accepts is never refused by the gateway."""

import asyncio
import contextlib
import json
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

import httpx
import jsonschema
from fastapi import FastAPI, Query
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, create_model

from gateway.proxy.headers import Field as HeaderField
from gateway.proxy.schema import BudgetError, Checker, Patterns
from gateway.proxy.validation import Validator

JSON: HeaderField = (b"content-type", b"application/json")
GOOD = {"name": "tom", "age": 3}


class Cat(BaseModel):
    """A body in a body."""

    model_config = ConfigDict(extra="forbid")
    name: str = Field(min_length=1, max_length=10, pattern="^[a-z]+$")
    age: int = Field(ge=0, le=40)
    friends: list["Cat"] = Field(default_factory=list, max_length=3)


KINDS: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (int, st.integers(-5, 50)),
    (Annotated[int, Field(ge=0, lt=20)], st.integers(-5, 50)),
    (Annotated[float, Field(gt=0.5, multiple_of=0.5)], st.floats(-5, 5)),
    (str, st.text(max_size=5)),
    (Annotated[str, Field(min_length=2, max_length=4)], st.text(max_size=6)),
    (Annotated[str, Field(pattern=r"^[a-c]\d*$")], st.from_regex(r"[a-d]\d*", fullmatch=True)),
    (bool, st.booleans()),
    (Literal["a", "b", 3], st.sampled_from(["a", "b", "c", 3, "3"])),
    (list[int], st.lists(st.integers() | st.text(max_size=2), max_size=3)),
    (set[int], st.lists(st.integers(0, 3), max_size=5)),
    (dict[str, bool], st.dictionaries(st.text(max_size=3), st.booleans() | st.just("yes"))),
    (tuple[int, str], st.tuples(st.integers(), st.text(max_size=3))),
    (int | None, st.none() | st.integers()),
    (int | str, st.integers() | st.text(max_size=3)),
    (Cat, st.fixed_dictionaries({"name": st.sampled_from(["a", "", "B"]), "age": st.integers()})),
    (Cat | None, st.none() | st.just(GOOD) | st.just({"name": "x"})),
]
ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 30),
    st.floats(allow_nan=False, allow_infinity=False, width=16),
    st.sampled_from(["1", " 2 ", "3.0", "1e2", "true", "OFF", "", "a", "a1", "null", "0x1"]),
    st.lists(st.integers(), max_size=2),
    st.just({}),
)


@st.composite
def calls(draw: st.DrawFn) -> tuple[type[BaseModel], list[Any]]:
    """A model of a body and some bodies for it, right and wrong ones."""
    chosen = draw(st.lists(st.sampled_from(KINDS), min_size=1, max_size=4))
    fields: dict[str, Any] = {
        f"f{n}": (kind, ... if draw(st.booleans()) else None) for n, (kind, _) in enumerate(chosen)
    }
    bodies = []
    for _ in range(4):
        body = {f"f{n}": draw(values | ODD) for n, (_, values) in enumerate(chosen)}
        if draw(st.booleans()):
            body.pop(draw(st.sampled_from(sorted(body))))
        bodies.append(body)
    return create_model("Body", **fields), bodies


def asgi(made: FastAPI) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(made), base_url="http://x")


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(calls())
def test_what_fastapi_accepts_is_accepted(call: tuple[type[BaseModel], list[Any]]) -> None:
    model, bodies = call
    made = FastAPI()

    @made.post("/")
    def take(body: model) -> None:  # type: ignore[valid-type]
        """A body."""

    validator = Validator(made.openapi())

    async def compare() -> None:
        async with asgi(made) as client:
            for body in bodies:
                data = json.dumps(body).encode()
                answer = await client.post(
                    "/", content=data, headers={"content-type": JSON[1].decode()}
                )
                refused = validator.check("POST", b"/", b"", (JSON,), data, seconds=5)
                assert answer.status_code != 200 or refused is None, (body, refused)

    asyncio.run(compare())


QUERIES = [int, float, bool, str, int | None, list[int], list[str] | None, Literal["a", "b"]]


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.sampled_from(QUERIES),
    st.lists(
        st.lists(
            st.sampled_from(["1", "", " 2 ", "3.5", "true", "off", "a", "1e3", "+7", "é", "4.0"]),
            max_size=3,
        ),
        min_size=3,
        max_size=6,
    ),
)
def test_what_fastapi_accepts_in_a_query_is_accepted(kind: Any, queries: list[list[str]]) -> None:
    made = FastAPI()

    @made.get("/")
    def take(q: Annotated[kind, Query()]) -> None:
        """A query."""

    validator = Validator(made.openapi())

    async def compare() -> None:
        async with asgi(made) as client:
            for values in queries:
                query = urlencode([("q", value) for value in values])
                answer = await client.get("/?" + query)
                refused = validator.check("GET", b"/", query.encode(), (), None, seconds=5)
                assert answer.status_code != 200 or refused is None, (query, refused)

    asyncio.run(compare())


_values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["", "a", "ab", "1"]),
    lambda one: st.lists(one, max_size=3) | st.dictionaries(st.sampled_from("ab"), one, max_size=2),
    max_leaves=6,
)
_words: dict[str, st.SearchStrategy[Any]] = {
    "type": st.sampled_from(["string", "integer", "number", "object", "array", "boolean", "null"]),
    "enum": st.lists(_values, min_size=1, max_size=3),
    "const": _values,
    "minimum": st.integers(-2, 2),
    "exclusiveMaximum": st.integers(-2, 2),
    "minLength": st.integers(0, 2),
    "maxItems": st.integers(0, 2),
    "maxProperties": st.integers(0, 2),
    "required": st.lists(st.sampled_from("ab"), unique=True),
    "pattern": st.sampled_from(["^a", "b$", "(", "^$"]).filter(lambda text: text != "("),
    "uniqueItems": st.booleans(),
}
_schemas = st.recursive(
    st.booleans() | st.fixed_dictionaries({}, optional=_words),
    lambda one: st.fixed_dictionaries(
        {},
        optional=_words
        | {
            "properties": st.dictionaries(st.sampled_from("ab"), one, max_size=2),
            "patternProperties": st.dictionaries(st.sampled_from(["a", "b$"]), one, max_size=2),
            "additionalProperties": one,
            "items": one,
            "prefixItems": st.lists(one, min_size=1, max_size=2),
            "allOf": st.lists(one, min_size=1, max_size=2),
            "anyOf": st.lists(one, min_size=1, max_size=2),
            "oneOf": st.lists(one, min_size=1, max_size=2),
        },
    ),
    max_leaves=8,
)


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(_schemas, _values)
def test_what_fits_a_schema_by_the_book_is_accepted(schema: Any, value: Any) -> None:
    if jsonschema.Draft202012Validator(schema).is_valid(value):
        checker = Checker({}, Patterns(), steps=10**6, until=1e18)
        assert list(checker.errors(schema, value, "")) == []


_json = st.recursive(
    _values | st.floats(),
    lambda one: st.lists(one) | st.dictionaries(st.sampled_from([*_words, "$ref"]), one),
    max_leaves=10,
)


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.dictionaries(st.sampled_from([*_words, "properties", "items", "anyOf", "$ref"]), _json),
    _json,
)
def test_no_schema_makes_a_check_fail(schema: Any, value: Any) -> None:
    checker = Checker({"a": schema}, Patterns(), steps=10**6, until=1e18)
    with contextlib.suppress(BudgetError):
        list(checker.errors(schema, value, ""))
