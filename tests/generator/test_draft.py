"""A draft becomes a contract, or all that is wrong with it is told at once."""

import copy
import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generator.contract import Contract, Storage
from generator.draft import BadContractError, ContractDraft, contract_of
from generator.faults import faults_of
from tests.support.gate_contracts import draft, example, notes, operation, parameter, whole


def faults(value: dict[str, Any], allowed: tuple[str, ...] = ()) -> tuple[str, ...]:
    """What is wrong with a draft."""
    with pytest.raises(BadContractError) as caught:
        contract_of(draft(value), allowed)
    return caught.value.faults


def changed(*path: Any, to: Any) -> dict[str, Any]:
    """The notes with one value changed."""
    value = copy.deepcopy(notes())
    place = value
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = to
    return value


def test_a_good_draft_becomes_a_contract() -> None:
    made = contract_of(draft(notes()))
    assert [one.id for one in made.operations] == ["add_note", "read_note", "shout"]
    assert made.storage is Storage.KV
    assert made.operations[0].examples[0].body == {"text": "milk"}
    assert made.operations[1].parameters[0].required


def test_a_contract_survives_json() -> None:
    made = contract_of(draft(notes()))
    again = Contract.model_validate_json(made.model_dump_json(by_alias=True))
    assert again == made
    assert faults_of(again, ()) == ()


def test_the_form_suits_structured_output() -> None:
    """Every object is closed and every member is asked for."""

    def objects(value: Any) -> Iterator[dict[str, Any]]:
        if isinstance(value, dict):
            if value.get("type") == "object":
                yield value
            for one in value.values():
                yield from objects(one)
        elif isinstance(value, list):
            for one in value:
                yield from objects(one)

    found = list(objects(ContractDraft.model_json_schema()))
    assert len(found) == 6
    for one in found:
        assert one["additionalProperties"] is False
        assert sorted(one["required"]) == sorted(one["properties"])


FIRST = ("operations", 0)
EXAMPLE = (*FIRST, "examples", 0)
ONE_FAULT = [
    ((*FIRST, "body_schema_text"), "{", "it is no JSON"),
    ((*FIRST, "body_schema_text"), '{"type": "thing"}', "no JSON Schema"),
    ((*FIRST, "body_schema_text"), '{"$ref": "https://example.com/a.json"}', "only #/$defs/name"),
    ((*FIRST, "body_schema_text"), '{"$ref": "#/$defs/none", "$defs": {}}', "is not there"),
    (
        (*FIRST, "body_schema_text"),
        '{"$defs": {"a": {"items": {"$ref": "#/$defs/a"}}}, "$ref": "#/$defs/a"}',
        "refers to itself",
    ),
    ((*FIRST, "body_schema_text"), '{"$id": "https://example.com"}', '"$id" cannot be used'),
    ((*FIRST, "body_schema_text"), '{"patternProperties": {"a": {}}}', "cannot be used"),
    ((*FIRST, "body_schema_text"), '{"items":' * 30 + "{}" + "}" * 30, "nested more than"),
    ((*FIRST, "body_schema_text"), "[" * 100_000, "longer than"),
    ((*FIRST, "body_schema_text"), "[" * 20_000, "nested more than"),
    ((*FIRST, "body_schema_text"), '{"pattern": "(?=a)b"}', "RE2"),
    ((*FIRST, "body_schema_text"), '{"default": NaN}', "no number of JSON"),
    ((*FIRST, "body_schema_text"), '{"default": 1e999}', "it is no JSON"),
    ((*FIRST, "body_schema_text"), '{"default": "\\ud800"}', "half a character"),
    ((*EXAMPLE, "path"), "/other", "is none of"),
    ((*EXAMPLE, "path"), "/notes?a=1", "no plain path"),
    ((*EXAMPLE, "status"), 418, "does not declare"),
    ((*EXAMPLE, "body_text"), '{"text": 7}', "its body does not hold"),
    ((*EXAMPLE, "body_text"), "", "its body does not hold"),
    ((*EXAMPLE, "response_text"), '{"size": "long"}', "its answer does not hold"),
    ((*EXAMPLE, "keep"), [{"name": "note", "value": "id"}], "no JSON pointer"),
    ((*EXAMPLE, "keep"), [], "was not kept by an earlier example"),
    ((*EXAMPLE, "query"), [{"name": "a", "value": "1"}], "not declared"),
    ((*EXAMPLE, "headers"), [{"name": "x-a", "value": "1\r\nb: c"}], "no plain text"),
    (("operations", 2, "examples", 0, "query"), [], "it lacks the query parameter"),
    (("operations", 2, "parameters", 1, "schema_text"), '{"enum": [1]}', "not one of"),
    (("operations", 1, "parameters"), [], "no path parameter note_id is declared"),
    (("operations", 1, "id"), "add_note", "is there 2 times"),
    (("operations", 1, "id"), "class", "a word of Python"),
    (("operations", 1, "id"), "Read", "String should match pattern"),
    (("operations", 0, "examples"), [], "at least 1 item"),
    (("operations",), [], "at least 1 item"),
    (("storage",), "none", "storage must be kv"),
    (("dependencies",), ["left-pad"], "cannot be used"),
    (("title",), "", "at least 1 character"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "value", "text"), ONE_FAULT)
def test_a_fault_is_told(path: tuple[Any, ...], value: Any, text: str) -> None:
    found = faults(changed(*path, to=value))
    assert [one for one in found if text in one]
    assert all(len(one) < 500 and one.isprintable() for one in found)


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "[::1]", "::1", "2130706433", "0x7f.1", "localhost", "a.local", "*.example.com",
     "https://example.com", "example.com:80", "example.com/", "Example.com", "a_b.com", "", "com",
     "metadata.google.internal", "ex ample.com", "-a.com", "a..com"],
)  # fmt: skip
def test_a_host_that_is_no_name_is_refused(host: str) -> None:
    assert "is no host name" in faults(changed("outbound_hosts", to=[host]))[0]


def test_hosts_and_dependencies_that_may_be_are_kept() -> None:
    value = notes() | {"outbound_hosts": ["api.example.com"], "dependencies": ["segno"]}
    made = contract_of(draft(value), ("segno",))
    assert (made.outbound_hosts, made.dependencies) == (("api.example.com",), ("segno",))


@pytest.mark.parametrize(
    "path", ["/openapi.json", "/docs", "/mcp", "/MCP/tools", "/redoc", "/a/.."]
)
def test_a_path_of_the_platform_is_refused(path: str) -> None:
    found = faults(whole(operation("one", "GET", path, example("one", path))))
    assert [one for one in found if "the platform's own" in one]


@pytest.mark.parametrize("path", ["/a/", "/a//b", "/a/{b:path}", "/a/x{b}", "/a%2fb", "/ä"])
def test_a_path_that_servers_read_differently_is_refused(path: str) -> None:
    found = faults(whole(operation("one", "GET", path, example("one", path))))
    assert [one for one in found if "neither a plain word" in one]


def test_operations_that_only_differ_in_the_name_of_a_parameter_are_refused() -> None:
    def read(name: str) -> dict[str, Any]:
        given = parameter(name, "path", {"type": "string"})
        return operation(
            f"by_{name}", "GET", f"/n/{{{name}}}", example("a", "/n/1"), parameters=[given]
        )

    assert "2 operations share GET /n/{}" in faults(whole(read("a"), read("b")))[0]


@pytest.mark.parametrize("name", ["Authorization", "Host", "Transfer-Encoding", "a b", "x\n"])
def test_a_header_of_the_platform_cannot_be_declared(name: str) -> None:
    given = parameter(name, "header", {"type": "string"})
    found = faults(whole(operation("one", "GET", "/a", example("a", "/a"), parameters=[given])))
    assert [one for one in found if "not for operations to declare" in one]


def test_all_faults_come_at_once() -> None:
    value = changed("operations", 0, "body_schema_text", to="{")
    value["operations"][1]["examples"][0]["path"] = "/elsewhere"
    value["operations"][2]["id"] = "Bad Id"
    value["outbound_hosts"] = ["localhost"]
    text = "\n".join(faults(value))
    for part in ("body_schema_text", "is none of", "pattern", "is no host name"):
        assert part in text


def test_references_within_a_schema_are_filled_in() -> None:
    schema = {"$defs": {"a": {"type": "integer"}}, "properties": {"x": {"$ref": "#/$defs/a"}}}
    value = whole(operation("one", "POST", "/a", example("a", "/a", body={"x": "no"}), body=schema))
    assert "is not of type 'integer'" in faults(value)[0]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
KEYWORDS = st.sampled_from(
    ["type", "properties", "items", "$ref", "$defs", "pattern", "enum", "anyOf", "required", "not",
     "multipleOf", "minimum", "uniqueItems", "additionalProperties", "const", "maxLength"]
)  # fmt: skip
SCHEMAS = st.dictionaries(KEYWORDS, JSON | st.dictionaries(KEYWORDS, JSON, max_size=3), max_size=4)


@settings(max_examples=40, deadline=None)
@given(SCHEMAS, JSON, st.text(max_size=30))
def test_whatever_is_drafted_is_a_contract_or_faults(schema: Any, body: Any, path: str) -> None:
    value = changed("operations", 0, "body_schema_text", to=json.dumps(schema))
    value["operations"][0]["examples"][0]["body_text"] = json.dumps(body)
    value["operations"][2]["path"] = path
    with suppress(BadContractError):
        assert faults_of(contract_of(draft(value)), ()) == ()
