"""Builds the SQL of the six verbs. Values travel as JSON text, identifiers are checked."""

# ruff: noqa: S608 - the one place that builds SQL; what is put in is checked or made here
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.store.database import DatabaseError, Filter
from gateway.store.schema_cache import Function, Schema

MAX_ROWS = 1000
_IDENTIFIER = re.compile(r"[a-z_][a-z0-9_]*")
_UNSTORABLE = re.compile("[\\0\\ud800-\\udfff]")
_COMPARE = {
    "eq": "=",
    "neq": "<>",
    "gt": ">",
    "gte": ">=",
    "lt": "<",
    "lte": "<=",
    "like": "like",
    "ilike": "ilike",
}


@dataclass(frozen=True, slots=True)
class Statement:
    """SQL with numbered parameters, all of them text; it answers one JSON text."""

    sql: str
    parameters: tuple[str, ...] = ()


def json_text(value: Any) -> str:
    """Strict JSON: no NaN, no infinity."""
    return json.dumps(value, allow_nan=False, separators=(",", ":"))


def storable(value: Any) -> Any:
    """The same value, its NUL characters and lone surrogates replaced."""
    if isinstance(value, str):
        return _UNSTORABLE.sub("\ufffd", value)
    if isinstance(value, Mapping):
        return {name: storable(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [storable(item) for item in value]
    return value


def check_name(name: str) -> None:
    """Refuse what cannot be the name of a column."""
    if not _IDENTIFIER.fullmatch(name):
        raise ValueError(f"{name!r} is not the name of a column")


def even_columns(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The columns that all rows have; uneven rows are refused."""
    columns = list(rows[0]) if rows else []
    if not columns or any(set(row) != set(columns) for row in rows):
        raise ValueError("rows to insert all have the same columns, at least one")
    return columns


def order_terms(order: str) -> list[tuple[str, str]]:
    """Columns of an `order`, each with `asc` or `desc`."""
    terms = []
    for term in order.split(","):
        name, _, way = term.strip().partition(".")
        if way not in ("", "asc", "desc"):
            raise ValueError(f"{term!r} is not an order")
        terms.append((name, way or "asc"))
    return terms


def truth_word(value: Any) -> str:
    """What `is` compares with."""
    for constant, word in ((None, "null"), (True, "true"), (False, "false")):
        if value is constant:
            return word
    raise ValueError("`is` compares with None, True or False")


def text_of(value: Any) -> str:
    """A value as the text that a column reads; `None` is compared through `is`."""
    if value is None:
        raise ValueError("compare with None through `is`")
    return value if isinstance(value, str) else json_text(value)


def select(
    schema: Schema,
    table: str,
    *,
    columns: str,
    where: Sequence[Filter],
    order: str | None,
    limit: int,
    offset: int,
) -> Statement:
    """Rows of a table, at most `MAX_ROWS`."""
    if limit < 0 or offset < 0:
        raise ValueError("limit and offset cannot be negative")
    types = _columns_of(schema, table)
    parameters: list[str] = []
    condition = _where(types, table, where, parameters)
    sql = f"select {_selected(types, table, columns)} from public.{table} as target{condition}"
    sql += _order(types, table, order)
    sql += f" limit {min(limit, MAX_ROWS)} offset {offset}"
    return Statement(_as_json(f"({sql})"), tuple(parameters))


def insert(schema: Schema, table: str, rows: Sequence[Mapping[str, Any]]) -> Statement:
    """Insert rows that all have the same columns."""
    _, sql = _insert(schema, table, rows)
    return Statement(_with(f"{sql} returning *"), (json_text(list(rows)),))


def upsert(
    schema: Schema, table: str, rows: Sequence[Mapping[str, Any]], on_conflict: Sequence[str]
) -> Statement:
    """Insert rows, or overwrite those with the same `on_conflict` columns."""
    columns, sql = _insert(schema, table, rows)
    if not on_conflict:
        raise ValueError("an upsert names the columns that identify a row")
    types = _columns_of(schema, table)
    target = ", ".join(_column(types, table, name) for name in on_conflict)
    # the identifying columns are set as well, so that the row is always answered
    changes = ", ".join(f'"{name}" = excluded."{name}"' for name in columns)
    sql += f" on conflict ({target}) do update set {changes} returning *"
    return Statement(_with(sql), (json_text(list(rows)),))


def update(
    schema: Schema, table: str, values: Mapping[str, Any], where: Sequence[Filter]
) -> Statement:
    """Change rows; refuses to change all of them."""
    if not where or not values:
        raise ValueError("an update names what to set and which rows")
    types = _columns_of(schema, table)
    parameters = [json_text(dict(values))]
    names = [_column(types, table, name) for name in values]
    changes = ", ".join(f"{name} = new_values.{name}" for name in names)
    condition = _where(types, table, where, parameters)
    sql = (
        f"update public.{table} as target set {changes} "
        f"from jsonb_populate_record(null::public.{table}, $1::text::jsonb) as new_values"
        f"{condition} returning target.*"
    )
    return Statement(_with(sql), tuple(parameters))


def delete(schema: Schema, table: str, where: Sequence[Filter]) -> Statement:
    """Remove rows; refuses to remove all of them."""
    if not where:
        raise ValueError("a delete names which rows")
    types = _columns_of(schema, table)
    parameters: list[str] = []
    condition = _where(types, table, where, parameters)
    sql = f"delete from public.{table} as target{condition} returning target.*"
    return Statement(_with(sql), tuple(parameters))


def rpc(schema: Schema, name: str, arguments: Mapping[str, Any]) -> Statement:
    """Call a function with named arguments.

    An argument of type json, as opposed to jsonb, is a log: text in it that Postgres cannot
    hold is replaced, since a refusal would lose the whole log.
    """
    function = _function(schema, name, arguments)
    given = [argument for argument in function.order if argument in arguments]
    call = f"public.{name}({', '.join(f'{a} => a.{a}' for a in given)})"
    source = ""
    parameters: tuple[str, ...] = ()
    if given:
        types = ", ".join(f"{a} {function.arguments[a]}" for a in given)
        source = f" from json_to_record($1::text::json) as a({types})"
        logs = {name for name in given if function.arguments[name] == "json"}
        sent = {a: storable(arguments[a]) if a in logs else arguments[a] for a in given}
        parameters = (json_text(sent),)
    if function.returns_set:
        joined = f"{source} cross join lateral" if source else " from"
        return Statement(
            f"select coalesce(json_agg(q), '[]')::text from (select r.*{joined} {call} as r "
            f"limit {MAX_ROWS}) as q",
            parameters,
        )
    if function.returns_void:
        return Statement(f"select 'null' from (select {call}{source}) as q", parameters)
    return Statement(f"select coalesce(to_json({call}), 'null')::text{source}", parameters)


# --- parts --------------------------------------------------------------------------------


def _columns_of(schema: Schema, table: str) -> dict[str, str]:
    if table not in schema.tables:
        raise DatabaseError("PGRST205", f"could not find the table public.{table}")
    return schema.tables[table]


def _function(schema: Schema, name: str, arguments: Mapping[str, Any]) -> Function:
    function = schema.functions.get(name)
    required = set(function.order[: function.required]) if function else set()
    if function is None or not required <= set(arguments) <= set(function.order):
        shown = ", ".join(sorted(arguments))
        raise DatabaseError("PGRST202", f"could not find the function public.{name}({shown})")
    return function


def _column(types: Mapping[str, str], table: str, name: str) -> str:
    check_name(name)
    if name not in types:
        raise DatabaseError("42703", f"column {table}.{name} does not exist")
    return f'"{name}"'


def _selected(types: Mapping[str, str], table: str, columns: str) -> str:
    if columns == "*":
        return "*"
    return ", ".join(_column(types, table, name.strip()) for name in columns.split(","))


def _insert(schema: Schema, table: str, rows: Sequence[Mapping[str, Any]]) -> tuple[list[str], str]:
    types = _columns_of(schema, table)
    columns = even_columns(rows)
    names = ", ".join(_column(types, table, name) for name in columns)
    return columns, (
        f"insert into public.{table} ({names}) select {names} "
        f"from jsonb_populate_recordset(null::public.{table}, $1::text::jsonb)"
    )


def _where(
    types: Mapping[str, str], table: str, where: Sequence[Filter], parameters: list[str]
) -> str:
    if not where:
        return ""
    return " where " + " and ".join(_condition(types, table, item, parameters) for item in where)


def _condition(types: Mapping[str, str], table: str, item: Filter, parameters: list[str]) -> str:
    quoted = _column(types, table, item.column)
    # an update has the new values in scope as well, so the column is always named with its table
    column, kind = f"target.{quoted}", types[item.column]
    if item.operator == "is":
        return f"{column} is {truth_word(item.value)}"
    if item.operator == "in":
        parameters.append(json_text([text_of(value) for value in item.value]))
        values = (
            f"select v::{kind} from jsonb_array_elements_text(${len(parameters)}::text::jsonb) v"
        )
        return f"{column} = any(array({values}))"
    parameters.append(text_of(item.value))
    cast = "text" if item.operator in ("like", "ilike") else kind
    return f"{column} {_COMPARE[item.operator]} (${len(parameters)}::text)::{cast}"


def _order(types: Mapping[str, str], table: str, order: str | None) -> str:
    if order is None:
        return ""
    terms = [f"{_column(types, table, name)} {way}" for name, way in order_terms(order)]
    return f" order by {', '.join(terms)}"


def _as_json(source: str) -> str:
    return f"select coalesce(json_agg(q), '[]')::text from {source} as q"


def _with(statement: str) -> str:
    return f"with q as ({statement}) select coalesce(json_agg(q), '[]')::text from q"
