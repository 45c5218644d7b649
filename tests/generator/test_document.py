"""The document of a contract says what the contract says, and refers to nothing."""

import json
from typing import Any

from jsonschema import Draft202012Validator

from generator.document import declared_statuses, document_of
from tests.support.gate_contracts import contract, example, notes, operation, whole


def test_every_operation_is_in_it() -> None:
    document = document_of(contract())
    places = {
        (one["operationId"], method, path)
        for path, methods in document["paths"].items()
        for method, one in methods.items()
    }
    assert places == {
        ("add_note", "post", "/notes"),
        ("read_note", "get", "/notes/{note_id}"),
        ("shout", "get", "/shout"),
    }


def test_statuses_are_the_contracts_and_the_platforms() -> None:
    add, read, shout = contract().operations
    assert declared_statuses(add) == {201, 400, 413, 415, 422}
    assert declared_statuses(read) == {200, 404, 422}
    assert declared_statuses(shout) == {200, 422}
    responses = document_of(contract())["paths"]["/notes/{note_id}"]["get"]["responses"]
    assert responses["404"]["description"] == "there is no such note"


def test_it_has_no_reference() -> None:
    schema = {"$defs": {"a": {"type": "integer"}}, "properties": {"x": {"$ref": "#/$defs/a"}}}
    made = contract(whole(operation("one", "POST", "/a", example("a", "/a", body={}), body=schema)))
    document = document_of(made)
    body = document["paths"]["/a"]["post"]["requestBody"]["content"]["application/json"]
    assert body["schema"] == {"properties": {"x": {"type": "integer"}}}
    assert "$ref" not in json.dumps(document)


def test_a_reference_with_more_beside_it_keeps_both() -> None:
    schema: Any = {
        "$defs": {"a": {"type": "integer"}},
        "properties": {"x": {"$ref": "#/$defs/a", "minimum": 3}},
    }
    made = contract(whole(operation("one", "POST", "/a", example("a", "/a", body={}), body=schema)))
    filled = document_of(made)["paths"]["/a"]["post"]["requestBody"]["content"]
    shown = filled["application/json"]["schema"]
    assert Draft202012Validator(shown).is_valid({"x": 3})
    assert not Draft202012Validator(shown).is_valid({"x": 2})
    assert not Draft202012Validator(shown).is_valid({"x": 3.5})


def test_the_same_contract_gives_the_same_document() -> None:
    assert json.dumps(document_of(contract(notes()))) == json.dumps(document_of(contract(notes())))


def test_an_answer_of_nothing_has_no_type() -> None:
    link = operation("go", "GET", "/go", example("a", "/go", 307), status=307, response_type="")
    answer = document_of(contract(whole(link)))["paths"]["/go"]["get"]["responses"]["307"]
    assert "content" not in answer
