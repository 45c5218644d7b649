"""Other inputs hold to their schemas, differ from the example's, and are the same each time."""

from typing import Any

import pytest

from generator import schemas
from generator.variants import QUANTITY, variants, varied
from tests.support.gate_contracts import contract


@pytest.mark.parametrize(
    ("value", "schema"),
    [
        ("milk", {"type": "string", "maxLength": 5, "minLength": 4}),
        ("red", {"enum": ["red", "green"]}),
        (7, {"type": "integer", "maximum": 7}),
        (0.5, {"type": "number"}),
        ({"a": ["b", "c"]}, {"properties": {"a": {"items": {"type": "string"}}}}),
    ],
)
def test_another_value_holds_to_the_schema(value: Any, schema: Any) -> None:
    other = varied(value, schema, 1)
    assert other != value
    assert schemas.problem(other, schema) == ""


@pytest.mark.parametrize(
    ("value", "schema"),
    [("a@b.c", {"format": "email"}), ("{note}", {}), (True, {}), ("USD", {"pattern": "^USD$"})],
)
def test_a_value_that_cannot_be_varied_stays(value: Any, schema: Any) -> None:
    assert varied(value, schema, 1) == value


def test_texts_are_also_of_another_length() -> None:
    lengths = {len(varied("some words", {"type": "string"}, turn)) for turn in (1, 2, 3)}
    assert lengths == {10, 21, 5}


def test_an_example_has_variants_and_paths_of_kept_values_stay() -> None:
    add, read, _ = contract().operations
    assert len(list(variants(add, add.examples[0]))) == QUANTITY
    assert list(variants(read, read.examples[0])) == []
    assert list(variants(add, add.examples[0])) == list(variants(add, add.examples[0]))
