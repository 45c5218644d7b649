"""What an app says of itself is hostile text until it was read."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.operations.openapi_text import MOST_DEPTH, read_document

INFO = {"title": "x", "version": "1"}
GOOD: dict[str, Any] = {"openapi": "3.1.0", "info": INFO, "paths": {}}


def read(**more: Any) -> Any:
    return read_document(json.dumps(GOOD | more)).document


def refused(text: str) -> str:
    found = read_document(text)
    assert found.document is None
    assert found.note is not None
    return found.note.removeprefix("the app's document was not kept: ")


def nested(depth: int) -> Any:
    value: Any = "x"
    for _ in range(depth):
        value = {"a": value}
    return value


def test_a_plain_document_is_kept_in_its_order() -> None:
    paths = {"/z": {"get": {"summary": "é"}}, "/a": {"post": {}}}
    found = read(paths=paths)
    assert found == GOOD | {"paths": paths}
    assert list(found["paths"]) == ["/z", "/a"]


def test_servers_and_unknown_fields_at_the_top_are_not_kept() -> None:
    evil = [{"url": "https://evil.example"}]
    paths = {"/a": {"servers": evil, "get": {"servers": evil, "summary": "a"}}}
    found = read(servers=evil, paths=paths, **{"x-logo": 1})
    assert found == GOOD | {"paths": {"/a": {"get": {"summary": "a"}}}}


@pytest.mark.parametrize("name", ["$id", "$schema", "$dynamicRef", "operationRef", "$ref"])
def test_what_leads_away_from_the_document_is_not_kept(name: str) -> None:
    found = read(components={"schemas": {"A": {name: "https://evil.example/x", "type": "string"}}})
    assert found["components"] == {"schemas": {"A": {"type": "string"}}}


def test_references_inside_stay_and_so_do_fields_with_such_names() -> None:
    schemas = {
        "A": {"$ref": "#/components/schemas/B"},
        "B": {"properties": {"$ref": {"type": "string"}, "servers": {"type": "array"}}},
    }
    assert read(components={"schemas": schemas})["components"] == {"schemas": schemas}


def test_text_that_the_database_cannot_hold_is_replaced() -> None:
    found = read(tags=[{"name": "a\0b", "description": "\ud800"}])
    assert found["tags"] == [{"name": "a\ufffdb", "description": "?"}]


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("", "it is not JSON"),
        ("[" * 100_000, "it is not JSON"),
        ('{"openapi": NaN}', "it is not JSON"),
        ("[1]", "it is no JSON object"),
        ('{"swagger": "2.0"}', "it is not OpenAPI 3"),
        ('{"openapi": "3.1.0"}', "`info` and `paths` of an OpenAPI document are objects"),
        (json.dumps(GOOD | {"paths": []}), "`info` and `paths` of an OpenAPI document are objects"),
        (json.dumps(GOOD | {"tags": nested(MOST_DEPTH)}), "it is nested deeper than 48"),
        (json.dumps(GOOD | {"tags": [1] * 60_000}), "it has more than 60000 values"),
        (json.dumps(GOOD | {"tags": "x" * 600_000}), "it is larger than 512 KiB"),
        (json.dumps(GOOD)[:-1] + ', "tags": 1e999}', "it has a number without end"),
        (json.dumps(GOOD)[:-1] + ', "tags": ' + "9" * 5000 + "}", "it is not JSON"),
    ],
)
def test_what_is_no_document_is_refused_with_the_reason(text: str, note: str) -> None:
    assert refused(text) == note


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda one: st.lists(one) | st.dictionaries(st.text(), one),
    max_leaves=20,
)


@given(_json, _json, _json)
def test_whatever_comes_is_kept_as_json_or_refused(paths: Any, info: Any, components: Any) -> None:
    value = {"openapi": "3.0.1", "info": info, "paths": paths, "components": components}
    found = read_document(json.dumps(value))
    assert (found.document is None) != (found.note is None)
    json.dumps(found.document, allow_nan=False).encode()
