"""Contracts that tests of the generator share."""

from typing import Any

from generator.contract import Contract


def operation(**changes: Any) -> dict[str, Any]:
    return {
        "id": "read_item",
        "method": "GET",
        "path": "/items/{item_id}",
        "summary": "Reads one",
        "response": {"type": "object"},
        "examples": [{"name": "one", "path": "/items/1", "status": 200}],
    } | changes


def contract(**changes: Any) -> Contract:
    values = {"title": "Items", "summary": "Keeps items", "operations": [operation()]}
    return Contract.model_validate(values | changes)


BODY = """
from pydantic import BaseModel


class Item(BaseModel):
    name: str


@router.get("/items/{item_id}")
async def read_item(item_id: int) -> Item:
    return Item(name=str(item_id))
""".lstrip()
