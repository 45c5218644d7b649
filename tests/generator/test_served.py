"""What an app says of itself is held against its contract."""

import copy
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generator.document import document_of
from generator.served import findings
from tests.support.gate_contracts import contract

POST = ("paths", "/notes", "post")
GET = ("paths", "/shout", "get")


def served(*path: Any, to: Any = None) -> str:
    """The contract's own document with one value changed, or taken away."""
    value = copy.deepcopy(document_of(contract()))
    place: Any = value
    for step in path[:-1]:
        place = place[step]
    if path and to is None:
        del place[path[-1]]
    elif path:
        place[path[-1]] = to
    return json.dumps(value)


def rules(text: str) -> list[tuple[str, bool]]:
    """What is found, and whether it stops."""
    return [(one.rule, one.stops) for one in findings(contract(), text)]


def test_the_contracts_own_document_fits() -> None:
    assert rules(served()) == []


def test_names_of_path_parameters_do_not_matter() -> None:
    assert rules(served().replace("note_id", "identifier")) == []


@pytest.mark.parametrize(
    ("path", "to", "expected"),
    [
        (GET, None, ("operation_missing", True)),
        (("paths", "/more"), {"get": {}}, ("operation_not_in_contract", True)),
        ((*GET, "parameters", 1), None, ("parameter_missing", True)),
        ((*GET, "parameters", 1, "required"), True, ("parameter_required", True)),
        ((*GET, "parameters", 0, "required"), False, ("parameter_optional", True)),
        ((*GET, "requestBody"), {"required": True}, ("body_not_in_contract", True)),
        ((*POST, "requestBody"), None, ("body_not_declared", False)),
        ((*POST, "responses", "201"), None, ("status_not_declared", True)),
        ((*POST, "responses", "201", "content"), None, ("response_not_declared", False)),
        (
            (*POST, "responses", "201", "content", "application/json", "schema", "type"),
            "array",
            ("response_differs", True),
        ),
        (
            (*POST, "responses", "201", "content", "application/json", "schema", "properties"),
            {"id": {}, "text": {}},
            ("response_differs", True),
        ),
    ],
)
def test_a_difference_is_found(path: tuple[Any, ...], to: Any, expected: tuple[str, bool]) -> None:
    assert rules(served(*path, to=to)) == [expected]


def test_references_into_the_components_are_followed_so_far() -> None:
    value = json.loads(served())
    content = value["paths"]["/notes"]["post"]["responses"]["201"]["content"]["application/json"]
    value["components"] = {"schemas": {"Note": content["schema"], "Loop": {}}}
    content["schema"] = {"$ref": "#/components/schemas/Note"}
    assert rules(json.dumps(value)) == []
    value["components"]["schemas"]["Note"] = {"$ref": "#/components/schemas/Note"}
    assert rules(json.dumps(value)) == []  # nothing to compare


@pytest.mark.parametrize("text", ["", "{", "[" * 10_000, "null", "[]", '"a"', "\ud800"])
def test_a_text_that_is_no_document_is_found(text: str) -> None:
    assert all(stops for _, stops in rules(text))
    assert rules(text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from([(), ("paths",), GET, POST, (*GET, "parameters"), (*POST, "responses")]), JSON
)
def test_whatever_is_served_is_no_error_of_ours(path: tuple[str, ...], value: Any) -> None:
    text = served(*path, to=value) if path and value is not None else json.dumps(value)
    assert all(len(one.message) < 300 for one in findings(contract(), text))
