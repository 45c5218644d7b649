"""A small API to try Sandgate with: facts about sand, a greeting and an echo."""

import random
from typing import Annotated

from fastapi import FastAPI, HTTPException, Query, Request
from pydantic import BaseModel, Field

app = FastAPI(title="Sand facts", version="1.0.0")

FACTS = [
    "A cubic metre of beach sand holds several billion grains.",
    "Desert sand is too round for concrete; builders want the sharp grains of rivers.",
    "Singing dunes can hum as loud as a lawn mower.",
    "Glass is what sand becomes at about 1 700 degrees Celsius.",
    "Pink beaches owe their colour to tiny shells of foraminifera.",
]


class Fact(BaseModel):
    """One fact with its number."""

    id: int = Field(ge=0)
    fact: str


@app.get("/")
def any_fact() -> Fact:
    """A fact, drawn at random."""
    number = random.randrange(len(FACTS))
    return Fact(id=number, fact=FACTS[number])


@app.get("/facts/{number}")
def one_fact(number: int) -> Fact:
    """The fact with this number."""
    if not 0 <= number < len(FACTS):
        raise HTTPException(404, f"there are {len(FACTS)} facts, counted from 0")
    return Fact(id=number, fact=FACTS[number])


@app.get("/hello")
def hello(name: Annotated[str, Query(max_length=80)] = "world") -> dict[str, str]:
    """Greets."""
    return {"hello": name}


@app.post("/echo")
async def echo(request: Request) -> dict[str, object]:
    """Says what arrived."""
    body = await request.body()
    return {"bytes": len(body), "content_type": request.headers.get("content-type")}
