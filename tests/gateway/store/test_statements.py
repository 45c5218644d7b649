"""The SQL of the six verbs: values never become SQL, and misuse is refused before it runs."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.store import statements
from gateway.store.database import DatabaseError, Filter
from gateway.store.schema_cache import Function, Schema

SCHEMA = Schema(
    tables={"things": {"id": "uuid", "name": "text", "size": "integer"}},
    functions={
        "act": Function(
            arguments={"a": "text", "b": "json"},
            order=["a", "b"],
            required=1,
            returns_set=False,
            returns_void=False,
        )
    },
)


def select(**changed: Any) -> statements.Statement:
    arguments = {"columns": "*", "where": (), "order": None, "limit": 10, "offset": 0, **changed}
    return statements.select(SCHEMA, "things", **arguments)


@given(st.text())
def test_a_value_is_always_a_parameter(value: str) -> None:
    bare = select(where=[Filter("name", "eq", "")])
    built = select(where=[Filter("name", "eq", value)])
    assert built.sql == bare.sql
    assert built.parameters == (value,)


@given(st.text())
def test_inserted_values_are_one_json_parameter(value: str) -> None:
    built = statements.insert(SCHEMA, "things", [{"name": value}])
    assert json.loads(built.parameters[0]) == [{"name": value}]
    assert built.sql == statements.insert(SCHEMA, "things", [{"name": ""}]).sql


@given(st.text().filter(lambda text: text.strip() not in ("id", "name", "size", "*")))
def test_no_text_but_a_column_is_a_column(name: str) -> None:
    if "," in name:
        return
    with pytest.raises((ValueError, DatabaseError)):
        select(columns=name)
    with pytest.raises((ValueError, DatabaseError)):
        statements.delete(SCHEMA, "things", [Filter(name, "eq", "x")])


def test_filters_are_cast_to_the_columns_type() -> None:
    assert 'target."id" = ($1::text)::uuid' in select(where=[Filter("id", "eq", "x")]).sql


def test_the_limit_is_capped() -> None:
    assert " limit 1000 " in select(limit=10**9).sql


@pytest.mark.parametrize(
    "misuse",
    [
        {"limit": -1},
        {"offset": -1},
        {"order": "name.sideways"},
        {"order": "name desc"},
        {"where": [Filter("name", "eq", None)]},
        {"where": [Filter("name", "is", 1)]},
        {"where": [Filter("name", "is", "null")]},
        {"where": [Filter("size", "eq", float("nan"))]},
    ],
)
def test_misuse_is_refused(misuse: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        select(**misuse)


def test_an_upsert_names_what_identifies_a_row() -> None:
    with pytest.raises(ValueError, match="identify"):
        statements.upsert(SCHEMA, "things", [{"name": "x"}], [])


def test_only_given_arguments_are_passed_on() -> None:
    assert "act(a => a.a)" in statements.rpc(SCHEMA, "act", {"a": "x"}).sql


def test_a_log_is_stored_without_what_postgres_cannot_hold() -> None:
    built = statements.rpc(SCHEMA, "act", {"a": "x", "b": [{"t": ("\0a", "\ud800", 1, None)}]})
    assert json.loads(built.parameters[0])["b"] == [{"t": ["\ufffda", "\ufffd", 1, None]}]


def test_what_is_no_log_is_sent_as_it_is() -> None:
    built = statements.rpc(SCHEMA, "act", {"a": "\0"})
    assert json.loads(built.parameters[0])["a"] == "\0"
