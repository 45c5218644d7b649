"""A change of a contract has a level, and says what callers would miss."""

import copy
import json
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from generator import schemas
from generator.difference import difference
from generator.narrowing import narrowed
from tests.support.gate_contracts import (
    NEW_NOTE,
    NOTE,
    contract,
    example,
    notes,
    operation,
    parameter,
)

ADD, READ, SHOUT = 0, 1, 2


def changed(number: int, **values: Any) -> dict[str, Any]:
    """The notes with members of one operation changed."""
    value = copy.deepcopy(notes())
    value["operations"][number] |= values
    return value


def without(schema: dict[str, Any], name: str) -> str:
    """A schema's text without a member."""
    value = copy.deepcopy(schema)
    del value["properties"][name]
    value["required"] = [one for one in value["required"] if one != name]
    return json.dumps(value)


def member(schema: dict[str, Any], name: str, inner: Any, *required: str) -> str:
    """A schema's text with a member."""
    value = copy.deepcopy(schema)
    value["properties"][name] = inner
    value["required"] += required
    return json.dumps(value)


def shout_parameters(*more: dict[str, Any]) -> list[dict[str, Any]]:
    """Those of the text operation, and more."""
    return [*notes()["operations"][SHOUT]["parameters"], *more]


MORE = {"operations": [*notes()["operations"], operation("x", "GET", "/x", example("a", "/x"))]}
TEXT = {"type": "string"}
ADDS_MORE = example("a", "/notes", 201, body={"text": "a", "more": "b"}, keep={"note": "/id"})
CLOSED = {**NEW_NOTE, "additionalProperties": False}


@pytest.mark.parametrize(
    ("value", "level", "text"),
    [
        ({**notes(), "title": "Other"}, "patch", "The title changed."),
        (changed(ADD, summary="other"), "patch", "POST /notes: the summary changed."),
        ({**notes(), **MORE}, "minor", "GET /x is new."),
        (
            changed(SHOUT, parameters=shout_parameters(parameter("a", "query", TEXT))),
            "minor",
            "GET /shout: the query parameter a is new.",
        ),
        (
            changed(ADD, response_schema_text=member(NOTE, "more", TEXT)),
            "minor",
            "POST /notes: the answer also has /more.",
        ),
        (
            changed(ADD, body_schema_text=member(NEW_NOTE, "more", TEXT)),
            "minor",
            "POST /notes: the body takes more than before.",
        ),
        (
            changed(ADD, body_schema_text=json.dumps({**NEW_NOTE, "properties": {"text": TEXT}})),
            "minor",
            "POST /notes: the body takes more than before.",
        ),
        (
            changed(ADD, errors=[{"status": 409, "when": "it is there"}]),
            "minor",
            "POST /notes may answer 409.",
        ),
        (
            changed(ADD, body_schema_text=member(NEW_NOTE, "more", TEXT, "more"),
                    examples=[ADDS_MORE]),
            "major",
            "POST /notes: the body: /more is required now.",
        ),
        (
            changed(READ, response_schema_text=without(NOTE, "size")),
            "major",
            "GET /notes/{note_id}: the answer no longer has /size.",
        ),
        (
            changed(READ, response_schema_text=json.dumps({**NOTE, "required": ["id", "text"]})),
            "major",
            "/size is required now",
        ),
        (
            changed(SHOUT, parameters=shout_parameters()[:1],
                    examples=[example("a", "/shout", query={"text": "a"})]),
            "major",
            "GET /shout: the query parameter times is gone.",
        ),
        (
            changed(ADD, body_schema_text=json.dumps(CLOSED)),
            "major",
            "POST /notes: the body: /(others) takes nothing any more.",
        ),
        (changed(READ, errors=[]), "major", "GET /notes/{note_id} no longer answers 404."),
        ({**notes(), "operations": notes()["operations"][:2]}, "major", "GET /shout is gone."),
    ],
)  # fmt: skip
def test_a_change_has_a_level_and_a_sentence(value: Any, level: str, text: str) -> None:
    change = difference(contract(), contract(value))
    assert change.level == level
    assert [one for one in change.changes if text in one], change.changes
    assert bool(change.breaking) is (level == "major")
    assert set(change.breaking) <= set(change.changes)


def test_a_contract_is_no_change_from_itself() -> None:
    change = difference(contract(), contract())
    assert (change.changes, change.breaking, change.level) == ((), (), "patch")


def test_the_name_of_a_path_parameter_is_not_seen_by_callers() -> None:
    value = json.loads(json.dumps(notes()).replace("note_id", "identifier"))
    assert difference(contract(), contract(value)).changes == ()


def test_a_status_that_is_another_is_missed() -> None:
    shown = [example("a", "/shout", 202, query={"text": "a"})]
    value = changed(SHOUT, status=202, examples=shown)
    change = difference(contract(), contract(value))
    assert change.breaking == ("GET /shout: the answer has the status 202, no longer 200.",)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["", "a", "ab", "abc"]),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2)
    ),
    max_leaves=4,
)
TYPES = st.sampled_from(["string", "integer", "number", "object", "array", "boolean", "null"])


def of_keywords(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Schemas of the keywords that are compared."""
    return st.fixed_dictionaries(
        {},
        optional={
            "type": TYPES | st.lists(TYPES, min_size=1, max_size=3, unique=True),
            "enum": st.lists(VALUES, min_size=1, max_size=2),
            "minimum": st.integers(-2, 2),
            "maxLength": st.integers(0, 2),
            "required": st.lists(st.sampled_from("ab"), max_size=2, unique=True),
            "properties": st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
            "additionalProperties": inner,
            "items": inner,
            "anyOf": st.lists(inner, min_size=1, max_size=2),
        },
    )


SCHEMAS = st.recursive(st.booleans() | of_keywords(st.booleans()), of_keywords, max_leaves=4)


@settings(max_examples=40, deadline=None)
@given(of_keywords(SCHEMAS), of_keywords(SCHEMAS), VALUES)
def test_what_is_not_narrowed_still_takes_everything(old: Any, new: Any, value: Any) -> None:
    assume(not any(narrowed(old, new)))
    if not schemas.problem(value, old):
        assert not schemas.problem(value, new)


@settings(max_examples=30, deadline=None)
@given(SCHEMAS)
def test_nothing_is_narrower_than_itself(schema: Any) -> None:
    assert list(narrowed(schema, copy.deepcopy(schema))) == []
