"""Random facts from a table of our own."""

import secrets
from typing import Annotated, Literal

from fastapi import HTTPException, Path, Query
from pydantic import BaseModel

Category = Literal["animals", "food", "nature", "space"]


class Fact(BaseModel):
    """One fact."""

    id: int
    category: Category
    text: str


class Facts(BaseModel):
    """Some of them."""

    items: list[Fact]


TEXTS: tuple[tuple[Category, str], ...] = (
    ("animals", "An octopus has three hearts."),
    ("animals", "A group of flamingos is called a flamboyance."),
    ("animals", "Wombats leave droppings in the shape of cubes."),
    ("food", "Honey that is kept dry and closed does not spoil."),
    ("food", "A banana is a berry, and a strawberry is not."),
    ("food", "Carrots were often purple before orange ones were grown."),
    ("nature", "A bolt of lightning is hotter than the surface of the sun."),
    ("nature", "Bamboo can grow almost a metre in a day."),
    ("nature", "Antarctica is the largest desert on Earth."),
    ("space", "A day on Venus is longer than its year."),
    ("space", "Light from the sun needs about eight minutes to reach us."),
    ("space", "Saturn would float in water, were there enough of it."),
)
FACTS = [
    Fact(id=number, category=category, text=text)
    for number, (category, text) in enumerate(TEXTS, start=1)
]


def of(category: Category | None) -> list[Fact]:
    """All facts, or those of a category."""
    return [fact for fact in FACTS if category is None or fact.category == category]


@router.get("/facts/random")
async def random_fact(category: Category | None = None) -> Fact:
    """Any fact, on request of one category."""
    return secrets.choice(of(category))


@router.get("/facts")
async def list_facts(
    category: Category | None = None, limit: Annotated[int, Query(ge=1, le=50)] = 20
) -> Facts:
    """Facts in the order of their numbers."""
    return Facts(items=of(category)[:limit])


@router.get("/facts/{fact_id}", responses={404: {"description": "No fact has this number"}})
async def read_fact(fact_id: Annotated[int, Path(ge=1, le=1_000_000)]) -> Fact:
    """One fact by its number."""
    if fact_id > len(FACTS):
        raise HTTPException(404, "No fact has this number")
    return FACTS[fact_id - 1]
