"""Other good inputs than an example's, derived from the schemas. Pure and always the same."""

from collections.abc import Iterator

from generator import schemas
from generator.contract import Example, Json, Location, Operation, Schema
from generator.examples import matched, placeholders, typed

QUANTITY = 3


def variants(operation: Operation, example: Example) -> Iterator[Example]:
    """The example with its inputs changed, each time in another way; none when it has none."""
    for turn in range(1, QUANTITY + 1):
        other = example.model_copy(
            update={
                "path": _path(operation, example, turn),
                "query": _query(operation, example, turn),
                "body": _body(operation, example, turn),
                "keep": {},
            }
        )
        if (other.path, other.query, other.body) != (example.path, example.query, example.body):
            yield other


def _path(operation: Operation, example: Example, turn: int) -> str:
    given = matched(operation.path, example.path) or {}
    if placeholders(example.path):
        return example.path
    path = operation.path
    for parameter in operation.parameters:
        if parameter.location is Location.PATH and parameter.name in given:
            text = _text(given[parameter.name], schemas.inlined(parameter.schema_), turn)
            path = path.replace(f"{{{parameter.name}}}", text)
    return path


def _query(operation: Operation, example: Example, turn: int) -> dict[str, str]:
    declared = {
        parameter.name: parameter.schema_
        for parameter in operation.parameters
        if parameter.location is Location.QUERY
    }
    return {
        name: _text(text, schemas.inlined(declared.get(name, {})), turn)
        for name, text in example.query.items()
    }


def _text(text: str, schema: Schema, turn: int) -> str:
    if placeholders(text):
        return text
    value = varied(typed(text, schema), schema, turn)
    return value if isinstance(value, str) else str(value).lower()


def _body(operation: Operation, example: Example, turn: int) -> Json:
    if operation.body is None or example.body is None:
        return example.body
    return varied(example.body, schemas.inlined(operation.body), turn)


def varied(value: Json, schema: Json, turn: int) -> Json:
    """Another value that holds to the schema; the same where none is found."""
    if not isinstance(schema, dict):
        return value
    other = _other(value, schema, turn)
    return value if schemas.problem(other, schema) else other


def _other(value: Json, schema: Schema, turn: int) -> Json:
    choices = schema.get("enum")
    if isinstance(choices, list) and value in choices:
        return choices[(choices.index(value) + turn) % len(choices)]
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, str):
        return _other_text(value, schema, turn)
    if isinstance(value, int | float):
        return value + turn if not schemas.problem(value + turn, schema) else value - turn
    if isinstance(value, list):
        return [varied(one, schema.get("items"), turn) for one in value]
    members = schema.get("properties", {})
    return {name: varied(one, members.get(name), turn) for name, one in value.items()}


def _other_text(value: str, schema: Schema, turn: int) -> str:
    if placeholders(value) or "format" in schema or not value:
        return value
    turned = "".join(_next(letter, turn) for letter in value)
    # also of another length: what only counts would answer the same to the others
    other = {2: f"{turned} {turned}", 3: turned[: len(turned) // 2]}.get(turn, turned)
    return turned if schemas.problem(other, schema) else other


def _next(letter: str, turn: int) -> str:
    for first, size in (("a", 26), ("A", 26), ("0", 10)):
        place = ord(letter) - ord(first)
        if 0 <= place < size:
            return chr(ord(first) + (place + turn * 3) % size)
    return letter
